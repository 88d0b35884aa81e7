/**
 * The sizes of Allulook4. A preset is a row of numbers; the architecture is the same for all.
 */
export interface Preset {
  /** Channels of the deep branch's four scales (strides 2, 4, 8, 16). */
  readonly deep: readonly [number, number, number, number];
  /** Bottleneck blocks at each of them. */
  readonly deepBlocks: readonly [number, number, number, number];
  /** Channels of the light branch's four scales (strides 4, 8, 16, 32). */
  readonly light: readonly [number, number, number, number];
  readonly lightBlocks: readonly [number, number, number, number];
  /** Width of the tokens; four heads divide it. */
  readonly tokens: number;
  readonly feedForward: number;
  /** Channels of the decoder and of the heads' hidden layers. */
  readonly decoder: number;
  /** Channels of the depth encoder at stride 4. */
  readonly depth: number;
  /** Width of the text embedding table, which has 8192 rows. */
  readonly text: number;
}

export const PRESETS = {
  nano: {
    deep: [12, 24, 32, 48],
    deepBlocks: [1, 1, 1, 1],
    light: [12, 24, 32, 48],
    lightBlocks: [1, 1, 1, 1],
    tokens: 48,
    feedForward: 96,
    decoder: 24,
    depth: 12,
    text: 8,
  },
  tiny: {
    deep: [24, 48, 80, 128],
    deepBlocks: [1, 2, 2, 2],
    light: [24, 48, 80, 128],
    lightBlocks: [1, 1, 2, 1],
    tokens: 128,
    feedForward: 384,
    decoder: 48,
    depth: 24,
    text: 24,
  },
  small: {
    deep: [40, 80, 160, 288],
    deepBlocks: [1, 2, 3, 3],
    light: [40, 80, 160, 288],
    lightBlocks: [1, 2, 2, 2],
    tokens: 256,
    feedForward: 896,
    decoder: 80,
    depth: 40,
    text: 48,
  },
  base: {
    deep: [64, 160, 320, 576],
    deepBlocks: [2, 3, 4, 4],
    light: [64, 128, 256, 512],
    lightBlocks: [1, 2, 3, 2],
    tokens: 448,
    feedForward: 1792,
    decoder: 128,
    depth: 64,
    text: 96,
  },
} as const satisfies Record<string, Preset>;

/** Attention heads of every attention in the model. */
export const HEADS = 4;
/** Encoder layers. */
export const ENCODER_LAYERS = 6;
/** Pixels per side of the cell that one token stands for. */
export const TOKEN_STRIDE = 16;
/** Channels of one normalisation group. */
export const GROUP = 8;

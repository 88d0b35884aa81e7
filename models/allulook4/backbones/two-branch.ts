/**
 * The backbone of Allulook4: a deep branch of residual bottleneck blocks from the full resolution (strides 2 to 16), for
 * detail, and a light branch of depthwise-separable convolutions at reduced resolution (strides 4 to 32).
 */
import { BottleneckBlock, SeparableBlock } from "../layers/blocks.ts";
import type { Backbone, Node } from "../part-types.ts";
import { GROUP } from "../presets.ts";

export const twoBranch: Backbone = (rgb, { preset, convolution, one }) => {
  const deep: Node[] = [];
  let x = convolution("deep_stem", preset.deep[0], 3, rgb, { stride: 2, relu: true, onData: true });
  for (const [scale, filters] of preset.deep.entries()) {
    for (let block = 0; block < (preset.deepBlocks[scale] as number); block++) {
      const stride = scale > 0 && block === 0 ? 2 : 1;
      const name = `deep_${scale + 1}_${block + 1}`;
      x = one(new BottleneckBlock({ name, filters, stride, groupSize: GROUP }), x);
    }
    deep.push(x);
  }
  const light: Node[] = [];
  x = convolution("light_stem", preset.light[0], 4, rgb, { stride: 4, relu: true, onData: true });
  for (const [scale, filters] of preset.light.entries()) {
    for (let block = 0; block < (preset.lightBlocks[scale] as number); block++) {
      const stride = scale > 0 && block === 0 ? 2 : 1;
      const name = `light_${scale + 1}_${block + 1}`;
      x = one(new SeparableBlock({ name, filters, stride, groupSize: GROUP }), x);
    }
    light.push(x);
  }
  const [fine, quarter, eighth] = deep as [Node, Node, Node];
  return {
    scales: [
      ...deep.map((map, i) => ({ map, stride: 2 ** (i + 1) })),
      ...light.map((map, i) => ({ map, stride: 2 ** (i + 2) })),
    ],
    skips: [
      { name: "decoder_8_lateral", map: eighth, stride: 8 },
      { name: "decoder_4_deep", map: quarter, stride: 4 },
      { name: "decoder_4_light", map: light[0] as Node, stride: 4 },
      { name: "decoder_4_detail", map: fine, stride: 2 },
    ],
  };
};

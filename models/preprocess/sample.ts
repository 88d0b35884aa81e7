/** One decoded sample, with the federation's label space already applied. What `client/data` gives and models eat. */
export interface Box {
  /** Index into the federation's `labels.detection`. */
  readonly classIndex: number;
  /** Pixels of the original picture. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly crowd: boolean;
}

export interface DepthMap {
  /** height * width values: metres, or the dataset's relative units. */
  readonly values: Float32Array;
  /** 1 where there is a reading. */
  readonly valid: Uint8Array;
}

/** Segmentation value that counts in no loss and no metric. */
export const IGNORE_CLASS = 255;

export interface Sample {
  /** Unique in its dataset: the picture's file name. */
  readonly id: string;
  readonly site: string | null;
  readonly width: number;
  readonly height: number;
  /** height * width * 3. */
  readonly rgb: Uint8Array | null;
  readonly depth: DepthMap | null;
  readonly captions: readonly string[] | null;
  /** null: not labelled. An empty list: labelled as holding no object. */
  readonly boxes: readonly Box[] | null;
  /** height * width indices into `labels.segmentation`, or IGNORE_CLASS. */
  readonly segmentation: Uint8Array | null;
  /** Index into `labels.scene`. */
  readonly scene: number | null;
}

export interface Dataset {
  readonly size: number;
  /** What is known without decoding; same order as `load`. */
  readonly entries: readonly { readonly id: string; readonly site: string | null; readonly scene: number | null }[];
  load(index: number): Promise<Sample>;
}

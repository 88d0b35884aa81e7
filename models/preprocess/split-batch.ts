/** A batch as batches of one example each: views of the same arrays. */
import type { Batch, Targets } from "./batch.ts";
import type { BoxCells } from "./box-targets.ts";

export function examplesOf(batch: Batch): Batch[] {
  return Array.from({ length: batch.size }, (_, i) => {
    const part = <T extends Float32Array | Int32Array>(values: T): T => {
      const length = values.length / batch.size;
      return values.subarray(i * length, (i + 1) * length) as T;
    };
    const rgb = part(batch.rgb);
    return {
      ...batch,
      size: 1,
      rgb,
      depth: part(batch.depth),
      text: part(batch.text),
      presence: part(batch.presence),
      depthScales: batch.depthScales.slice(i, i + 1),
      targets: targetsOf(batch.targets, i, part, rgb),
    };
  });
}

function targetsOf(
  targets: Targets,
  example: number,
  part: (values: Float32Array) => Float32Array,
  rgb: Float32Array,
): Targets {
  const { depthGuide } = targets;
  return {
    ...targets,
    segmentation: part(targets.segmentation),
    heat: part(targets.heat),
    boxesKnown: part(targets.boxesKnown),
    cells: cellsOf(targets.cells, example),
    depth: part(targets.depth),
    depthWeight: part(targets.depthWeight),
    ...(depthGuide !== undefined && {
      depthGuide: { ...depthGuide, rgb, seen: depthGuide.seen.slice(example, example + 1) },
    }),
    scene: part(targets.scene),
  };
}

function cellsOf(cells: BoxCells, example: number): BoxCells {
  const own = (values: readonly number[]) => values.filter((_, i) => cells.sample[i] === example);
  return {
    sample: own(cells.sample).map(() => 0),
    cell: own(cells.cell),
    left: own(cells.left),
    top: own(cells.top),
    right: own(cells.right),
    bottom: own(cells.bottom),
    weight: own(cells.weight),
  };
}

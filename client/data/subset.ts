/** Part of a dataset, as a dataset. Nothing is copied or decoded. */
import type { Dataset } from "../../models/preprocess/sample.ts";

/** The samples at `indices`, in that order. Throws RangeError for an index outside the dataset. */
export function subset(dataset: Dataset, indices: readonly number[]): Dataset {
  const at = (index: number) => {
    const original = indices[index];
    if (original === undefined || original < 0 || original >= dataset.size) {
      throw new RangeError(`sample ${index} is not in this part of the dataset`);
    }
    return original;
  };
  return {
    size: indices.length,
    entries: indices.map((_, index) => dataset.entries[at(index)] as Dataset["entries"][number]),
    load: (index) => dataset.load(at(index)),
  };
}

/** Several datasets one after the other, as one. Nothing is copied or decoded. */
import type { Dataset } from "../../models/preprocess/sample.ts";

export function concat(parts: readonly Dataset[]): Dataset {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const owners = parts.flatMap((part) => part.entries.map((_, index) => ({ part, index })));
  return {
    size: owners.length,
    entries: parts.flatMap((part) => part.entries),
    load: (index) => {
      const owner = owners[index];
      if (owner === undefined) throw new RangeError(`there is no sample ${index}`);
      return owner.part.load(owner.index);
    },
  };
}

/** The step from a site's class names to the federation's label space, and a label space made from a dataset alone. */
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import { readSource, type Source } from "./source.ts";

/** A name mapped onto this is left out of labels and losses, unless the federation has a class of that name. */
const LEAVE_OUT = "ignore";
/** Pixels that no instance mask covers get this class, when the federation has it. */
export const BACKGROUND = "background";

export type Head = "detection" | "segmentation" | "scene";

/** Index into the federation's list of this head, or null: left out. */
export type ClassOf = (name: string, file: string) => number | null;

/**
 * Lookup of the site's names for one head. `map` is site.yaml's labels.map: the site's name -> the federation's.
 * Errors (of the lookup): DATA_UNKNOWN_CLASS naming the class and the file it stands in.
 */
export function classLookup(head: Head, labels: Labels, map: Readonly<Record<string, string>>): ClassOf {
  const names = labels[head];
  const indices = new Map(names.map((name, index) => [name, index]));
  return (name, file) => {
    const target = Object.hasOwn(map, name) ? (map[name] as string) : name;
    const index = indices.get(target);
    if (index !== undefined) return index;
    if (target === LEAVE_OUT) return null;
    const from = target === name ? `"${name}"` : `"${name}" (mapped onto "${target}")`;
    throw new CodedError(
      "DATA_UNKNOWN_CLASS",
      `${file}: ${head} class ${from} is not one of the federation's: ${names.join(", ")}`,
      { file, head, class: name, target, expected: names },
    );
  };
}

/** Instance masks can stand in for semantic masks: there are some, and no semantic classes are declared. */
export function hasInstanceMasks(source: Source): boolean {
  return (
    source.semantic === null && source.images.some((image) => image.objects?.some((object) => object.mask !== null))
  );
}

/**
 * A label space from the dataset's own names, in the order of their ids: for a person's own data, where no
 * federation.yaml exists. Instance masks give `background` and the categories as segmentation classes.
 * Depth is `none` when no picture has any. Errors: as {@link readSource}.
 */
export async function inferLabels(dir: string): Promise<Labels> {
  return labelsOf(await readSource(dir));
}

/** The label space of a dataset that no federation gives one to: its own names, in the order of their ids. */
export function labelsOf(source: Source): Labels {
  const hasDepth = source.images.some((image) => image.depthFile !== null);
  const detection = [...new Set(source.categories)].slice(0, 512);
  let segmentation: string[] = [];
  if (source.semantic !== null) {
    if (source.images.some((image) => image.segmentationFile !== null)) {
      const ignored = new Set(source.semantic.ignore);
      const kept = source.semantic.classes.filter(({ id }) => !ignored.has(id));
      segmentation = [...new Set(kept.map(({ name }) => name))];
    }
  } else if (hasInstanceMasks(source)) {
    segmentation = [...new Set([BACKGROUND, ...detection])];
  }
  return {
    detection,
    segmentation: segmentation.length > 255 ? [] : segmentation,
    scene: [...new Set(source.scenes)].slice(0, 512),
    depth: { kind: hasDepth ? source.depth.kind : "none" },
  };
}

/** COCO's own layout: instances*.json and captions*.json beside each other, the pictures in a folder next to them. */
import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "../../shared/errors.ts";
import type { AnnotationsFile } from "./annotations.ts";
import { isInsideName } from "./paths.ts";

export interface CocoFiles {
  /** Relative to the dataset's folder. */
  readonly instances: string;
  readonly captions: string | null;
  /** What stands between `instances_` and `.json`, e.g. `train2017`; empty for plain instances.json. */
  readonly split: string;
}

const INSTANCES = /^instances(?:_(.+))?\.json$/;

/** Looks in the folder and in its `annotations/`. Errors: DATA_INVALID when several splits lie beside each other. */
export async function findCoco(root: string): Promise<CocoFiles | null> {
  for (const folder of ["", "annotations/"]) {
    const names = await readdir(join(root, folder)).catch(() => [] as string[]);
    const instances = names.filter((name) => INSTANCES.test(name)).sort();
    const only = instances[0];
    if (only === undefined) continue;
    if (instances.length > 1)
      throw new CodedError(
        "DATA_INVALID",
        `several COCO files (${instances.join(", ")}): give each split its own folder`,
        {
          file: folder,
          expected: "one instances*.json",
          got: instances,
        },
      );
    const split = INSTANCES.exec(only)?.[1] ?? "";
    const captions = split === "" ? "captions.json" : `captions_${split}.json`;
    return {
      instances: folder + only,
      captions: names.includes(captions) ? folder + captions : null,
      split,
    };
  }
  return null;
}

/**
 * One file out of the two: captions are matched by image id, picture names get the folder they lie in.
 * Captions of images that instances*.json lacks are left out.
 */
export async function mergeCoco(
  instances: AnnotationsFile,
  captions: AnnotationsFile | null,
  root: string,
  files: CocoFiles,
): Promise<AnnotationsFile> {
  const folder = await pictureFolder(instances, root, files.split);
  const known = new Set(instances.images.map((image) => image.id));
  // Splits made by hand often copy all captions: those of pictures that are not here belong to nobody.
  const spoken = (captions?.annotations ?? []).filter(({ image_id }) => known.has(image_id));
  return {
    ...instances,
    images: instances.images.map((image) => ({ ...image, file_name: folder + image.file_name })),
    annotations: [...(instances.annotations ?? []), ...spoken],
  };
}

/** The first of the usual folders that holds the first picture; the dataset's own folder when none does. */
async function pictureFolder(file: AnnotationsFile, root: string, split: string): Promise<string> {
  const first = file.images[0]?.file_name;
  if (first === undefined || !isInsideName(first)) return "";
  const folders = ["", "images/", ...(split === "" ? [] : [`${split}/`, `images/${split}/`])];
  for (const folder of folders) {
    const there = await access(join(root, folder, first)).then(
      () => true,
      () => false,
    );
    if (there) return folder;
  }
  return "";
}

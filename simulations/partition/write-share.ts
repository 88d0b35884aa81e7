/** Writes some samples of a dataset as a dataset of their own: how the demo gives each site a folder of its own. */
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readSource, type Source, type SourceImage } from "../../client/data/source.ts";
import { writeFileDurably } from "../../shared/node/files.ts";

/** Copies the samples of `source` at `indices` to `dir` in the dataset format; classes and ids stay those of the whole. */
export async function writeShare(from: string, indices: readonly number[], dir: string): Promise<void> {
  const source = await readSource(from);
  const images = indices.map((index) => source.images[index]).filter((image) => image !== undefined);
  for (const { fileName, depthFile, segmentationFile } of images) {
    for (const name of [fileName, depthFile, segmentationFile]) {
      if (name === null) continue;
      await mkdir(dirname(join(dir, name)), { recursive: true });
      await copyFile(join(source.root, name), join(dir, name));
    }
  }
  if (source.layout === "pictures") return;
  await writeFileDurably(join(dir, "annotations.json"), `${JSON.stringify(annotationsOf(source, images))}\n`);
}

function annotationsOf(source: Source, images: readonly SourceImage[]): Record<string, unknown> {
  const category = new Map(source.categories.map((name, index) => [name, index + 1]));
  return {
    info: { generated: source.generated },
    categories: source.categories.map((name, index) => ({ id: index + 1, name })),
    depth: {
      kind: source.depth.kind,
      invalid: source.depth.invalid,
      ...(source.depth.metersPerUnit !== null && { unit_m: source.depth.metersPerUnit }),
    },
    semantic: source.semantic,
    scenes: source.scenes,
    images: images.map((image, index) => ({
      id: index + 1,
      file_name: image.fileName,
      width: image.width,
      height: image.height,
      depth_file_name: image.depthFile,
      segmentation_file_name: image.segmentationFile,
      captions: image.captions,
      scene: image.scene,
      site: image.site,
    })),
    annotations: images.flatMap((image, index) =>
      (image.objects ?? []).map(({ category: name, bbox, crowd, mask }) => ({
        image_id: index + 1,
        category_id: category.get(name),
        bbox,
        iscrowd: crowd ? 1 : 0,
        ...(mask !== null && {
          segmentation:
            mask.kind === "polygons" ? mask.polygons : { size: [mask.height, mask.width], counts: mask.counts },
        }),
      })),
    ),
  };
}

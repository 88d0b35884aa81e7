/** k-fold cross-validation of the scene head: every picture is judged once, by a federation that never saw it. */
import { openDataset } from "../../client/data/open-dataset.ts";
import type { Labels } from "../../shared/config/federation.ts";
import { CodedError } from "../../shared/errors.ts";
import type { ClientName } from "../../shared/ids.ts";
import { Rng } from "../../shared/rng/rng.ts";
import type { ClientData } from "../arrange.ts";

export interface Fold {
  readonly number: number;
  /** Pictures held out. */
  readonly size: number;
  readonly clients: readonly ClientData[];
}

/** The scene of every sample. Throws USAGE where one has none. */
export async function scenesOf(dir: string, labels: Labels): Promise<number[]> {
  const { entries } = await openDataset(dir, { labels });
  return entries.map(({ id, scene }) => {
    if (scene === null) throw new CodedError("USAGE", `--folds: ${id} has no scene`, { file: id });
    return scene;
  });
}

/** Folds with the classes' shares of the whole, each shared out among the clients, who train on the others. */
export function folds(scenes: readonly number[], count: number, clients: number, seed: number, dir: string): Fold[] {
  const order = Rng.of(seed, "folds").shuffled(scenes.map((_, index) => index));
  const byClass = order.toSorted((a, b) => (scenes[a] as number) - (scenes[b] as number));
  const foldOf = new Map(byClass.map((index, at) => [index, at % count]));
  const clientOf = new Map(byClass.map((index, at) => [index, Math.floor(at / count) % clients]));
  return Array.from({ length: count }, (_, fold) => ({
    number: fold + 1,
    size: byClass.filter((index) => foldOf.get(index) === fold).length,
    clients: Array.from({ length: clients }, (_unused, client) => {
      const indices = scenes.map((_scene, index) => index).filter((index) => clientOf.get(index) === client);
      const positions = indices.map((_index, position) => position);
      const held = (position: number): boolean => foldOf.get(indices[position] as number) === fold;
      return {
        name: `client-${client + 1}` as ClientName,
        parts: [{ dir, indices }],
        split: { train: positions.filter((at) => !held(at)), evaluation: positions.filter(held) },
      };
    }),
  }));
}

/** Wilson's score interval of a share at 95 %. Wilson 1927. */
export function wilson(hits: number, all: number): readonly [low: number, high: number] {
  const z = 1.959964;
  const share = hits / all;
  const centre = (share + z ** 2 / (2 * all)) / (1 + z ** 2 / all);
  const half = (z * Math.sqrt((share * (1 - share)) / all + z ** 2 / (4 * all ** 2))) / (1 + z ** 2 / all);
  return [centre - half, centre + half];
}

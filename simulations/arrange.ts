/** Whose samples are whose in a simulation: folders on disk, cut or merged into clients, with their held-out parts. */
import { splitHoldout, type Holdout } from "../client/data/holdout.ts";
import { inferLabels } from "../client/data/labels.ts";
import { openDataset } from "../client/data/open-dataset.ts";
import type { DataPart } from "../client/training/pool-messages.ts";
import type { Dataset } from "../models/preprocess/sample.ts";
import type { FederationConfig, Labels } from "../shared/config/federation.ts";
import { CodedError } from "../shared/errors.ts";
import type { ClientName } from "../shared/ids.ts";
import { partitionIndices, type Partitioner } from "./partition/partition.ts";

export interface ClientData {
  readonly name: ClientName;
  readonly parts: readonly DataPart[];
  readonly split: Holdout;
}

/** The label space of several folders: their class names in order of appearance. Throws CONFIG_INVALID where depth differs. */
export async function labelsOfFolders(dirs: readonly string[]): Promise<Labels> {
  const all = await Promise.all(dirs.map(inferLabels));
  const union = (names: (labels: Labels) => readonly string[]) => [...new Set(all.flatMap(names))];
  const kinds = new Set(all.map(({ depth }) => depth.kind).filter((kind) => kind !== "none"));
  if (kinds.size > 1) {
    throw new CodedError("CONFIG_INVALID", `the folders' depth is of different kinds: ${[...kinds].join(", ")}`, {
      field: "labels.depth.kind",
    });
  }
  return {
    detection: union(({ detection }) => detection),
    segmentation: union(({ segmentation }) => segmentation),
    scene: union(({ scene }) => scene),
    depth: { kind: [...kinds][0] ?? "none" },
  };
}

/**
 * Splits `dirs` over `clients` clients. With several folders each is a site of its own. `evalDir`: everybody trains on
 * all it has, and the evaluation data is shared out among them, so that the secure sum covers all of it once.
 */
export async function arrange(
  config: Pick<FederationConfig, "labels" | "evaluation" | "seed">,
  dirs: readonly string[],
  clients: number,
  how: Partitioner,
  evalDir: string | null,
): Promise<ClientData[]> {
  const { labels, evaluation, seed } = config;
  const folders = await Promise.all(dirs.map(async (dir) => ({ dir, data: await openDataset(dir, { labels }) })));
  const owners = folders.flatMap(({ data }, folder) => data.entries.map((entry, index) => ({ folder, index, entry })));
  const entries = owners.map(({ folder, entry }) =>
    folders.length === 1 ? entry : { ...entry, site: `${folder}/${entry.site ?? ""}` },
  );
  const shares = partitionIndices(entries, clients, how);
  const scored = evalDir === null ? null : await evaluationShares(evalDir, labels, clients);
  return shares.map((indices, i) => {
    const name = `client-${i + 1}` as ClientName;
    const parts: DataPart[] = [];
    for (const [folder, { dir }] of folders.entries()) {
      const own = indices.map((at) => owners[at]).filter((owner) => owner?.folder === folder);
      if (own.length > 0) parts.push({ dir, indices: own.map((owner) => owner?.index ?? 0) });
    }
    const ordered = [...indices].sort((a, b) => (owners[a]?.folder ?? 0) - (owners[b]?.folder ?? 0));
    const held = ordered.map((at) => entries[at] as Dataset["entries"][number]);
    const share = scored?.[i];
    if (share === undefined) return { name, parts, split: splitHoldout(held, evaluation, seed, name) };
    const train = held.map((_, index) => index);
    const extra = share.indices ?? [];
    return { name, parts: [...parts, share], split: { train, evaluation: extra.map((_, j) => held.length + j) } };
  });
}

async function evaluationShares(dir: string, labels: Labels, clients: number): Promise<DataPart[]> {
  const { size } = await openDataset(dir, { labels });
  const cut = (i: number) => Math.round((size * i) / clients);
  return Array.from({ length: clients }, (_, i) => ({
    dir,
    indices: Array.from({ length: cut(i + 1) - cut(i) }, (_unused, j) => cut(i) + j),
  }));
}

/** The same clients, of which the last `count` train without their labels; they are still scored with them. */
export function withoutLabels(clients: readonly ClientData[], count: number): ClientData[] {
  if (count >= clients.length) {
    throw new CodedError("USAGE", `--unlabelled: expected less than the ${clients.length} clients, got ${count}`, {
      field: "unlabelled",
    });
  }
  return clients.map((client, i) =>
    i < clients.length - count ? client : { ...client, split: { ...client.split, unlabelled: client.split.train } },
  );
}

/** All clients' samples as one party's: the central yardstick, with the same samples held out. */
export function pooled(clients: readonly ClientData[]): ClientData {
  let offset = 0;
  const train: number[] = [];
  const evaluation: number[] = [];
  const unlabelled: number[] = [];
  for (const { split } of clients) {
    train.push(...split.train.map((index) => offset + index));
    unlabelled.push(...(split.unlabelled ?? []).map((index) => offset + index));
    evaluation.push(...split.evaluation.map((index) => offset + index));
    offset += split.train.length + split.evaluation.length;
  }
  return {
    name: "central" as ClientName,
    parts: clients.flatMap(({ parts }) => parts),
    split: { train, evaluation, unlabelled },
  };
}

/** What augmentation and ways of training need of the rest of federation.yaml. */
import type { FederationConfig } from "../shared/config/federation.ts";
import { invalidField } from "../shared/config/parse.ts";
import { HEADS } from "../shared/release/scores.ts";

/** Throws CONFIG_INVALID. */
export function checkTrainingFeatures(config: FederationConfig): void {
  checkFlip(config);
  checkSemiSupervised(config);
  checkShares(config);
}

/** Depth has no probability: there would be nothing for a teacher to be sure of. */
function checkSemiSupervised({ labels, training }: FederationConfig): void {
  const heads = labels.segmentation.length + labels.detection.length + labels.scene.length;
  if (training.semiSupervised !== null && heads === 0) {
    throw invalidField("training.semiSupervised", "null where only depth is learned", "a teacher");
  }
}

/** Heads that are kept must be there, and something must be left to sum. */
function checkShares({ model, labels, training: { trainable, personal } }: FederationConfig): void {
  const heads = HEADS.filter((head) => (head === "depth" ? labels.depth.kind !== "none" : labels[head].length > 0));
  const strange = HEADS.find((head) => personal.includes(head) && !heads.includes(head));
  if (strange !== undefined)
    throw invalidField("training.personal", `heads that labels name: ${heads.join(", ")}`, strange);
  const kept = personal.includes("heads") || heads.every((head) => personal.includes(head));
  if (trainable === "heads" && kept)
    throw invalidField("training.personal", "a head left to be summed", personal.join(", "));
  const weights = model.own?.weights ?? null;
  if (weights === null) return;
  // What is not summed would have to come from weights that only the coordinator has.
  const words = "for a model of your own with weights beside it";
  if (trainable !== "all") throw invalidField("training.trainable", `all, ${words}`, trainable);
  if (personal.length > 0) throw invalidField("training.personal", `[], ${words}`, personal.join(", "));
}

/** A class whose name tells one side from the other would be wrong in the mirror. */
function checkFlip({ labels, training }: FederationConfig): void {
  const { probability, words } = training.augmentation.flip;
  if (probability === 0) return;
  const sided = new Set(words.flat());
  for (const name of [...labels.detection, ...labels.segmentation, ...labels.scene]) {
    const word = (name.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).find((part) => sided.has(part));
    if (word === undefined) continue;
    throw invalidField(
      "training.augmentation.flip.probability",
      `0, as the class "${name}" says "${word}"`,
      probability,
    );
  }
}

/**
 * Clients that attack, each a trainer around an honest one: what they train on, and what they send of it. They work together
 * and are enrolled like anybody, so nothing but their updates can tell them apart.
 *   labelFlip      trains on wrong labels
 *   signFlip       sends its update the other way round, three times as long
 *   scaling        model replacement (Bagdasaryan et al. 2020): the update of wrong labels, times the number of clients
 *   noise          Gaussian noise, as long as ten updates
 *   innerProduct   Xie et al. 2020: all send the mean of their honest updates the other way round, half as long
 *   backdoor       Gu et al. 2017: half of the pictures once more with a patch and the attackers' label, update doubled
 */
import type { Trainer, TrainingJob, TrainingResult } from "../../client/training/trainer.ts";
import { l2Norm } from "../../shared/privacy/clip.ts";
import { Rng } from "../../shared/rng/rng.ts";
import { flipped, joined, patched, type Pictures } from "./pictures.ts";

export const ATTACKS = ["labelFlip", "signFlip", "scaling", "noise", "innerProduct", "backdoor"] as const;
export type Attack = (typeof ATTACKS)[number];

/** What an attacker's training data are. */
export function poisoned(attack: Attack, pictures: Pictures): Pictures {
  if (attack === "labelFlip" || attack === "scaling") return flipped(pictures);
  if (attack !== "backdoor") return pictures;
  const half = Math.floor(pictures.count / 2);
  const size = pictures.values.length / pictures.count;
  const some = { count: half, values: pictures.values.slice(0, half * size), labels: pictures.labels.slice(0, half) };
  return joined(pictures, patched(some));
}

type Honest = Pick<TrainingResult, "delta">;

export interface Gang {
  readonly attack: Attack;
  /** In the federation, the attackers included. */
  readonly clients: number;
  readonly seed: number;
  /** The attackers' trainers, before any attack. */
  readonly members: readonly Trainer[];
}

/** The attackers' trainers as the federation meets them. */
export function attackers(gang: Gang): Trainer[] {
  const mean = new MeanOfHonest(gang);
  return gang.members.map((honest, i) => ({
    ...honest,
    train: async (job) => {
      const result = await honest.train(job);
      return { ...result, delta: await sent(gang, i, job, result, mean) };
    },
  }));
}

async function sent(
  { attack, clients, seed }: Gang,
  index: number,
  job: TrainingJob,
  { delta }: Honest,
  mean: MeanOfHonest,
): Promise<Float32Array> {
  switch (attack) {
    case "signFlip":
      return delta.map((value) => -3 * value);
    case "scaling":
      return delta.map((value) => clients * value);
    case "noise": {
      const rng = Rng.of(seed, "attack-noise", index, job.round);
      const stddev = (10 * l2Norm(delta)) / Math.sqrt(delta.length);
      return delta.map(() => stddev * rng.normal());
    }
    case "innerProduct":
      return (await mean.of(job)).map((value) => -0.5 * value);
    case "backdoor":
      return delta.map((value) => 2 * value);
    case "labelFlip":
      return delta;
  }
}

/** What the attackers' honest updates would come to: their guess of everybody's. The first who asks in a round pays for it. */
class MeanOfHonest {
  readonly #gang: Gang;
  readonly #rounds = new Map<number, Promise<Float32Array>>();

  constructor(gang: Gang) {
    this.#gang = gang;
  }

  of(job: TrainingJob): Promise<Float32Array> {
    const known = this.#rounds.get(job.round);
    if (known !== undefined) return known;
    const made = this.#mean(job);
    this.#rounds.set(job.round, made);
    return made;
  }

  async #mean(job: TrainingJob): Promise<Float32Array> {
    const { members, seed } = this.#gang;
    const mean = new Float32Array(job.params.length);
    for (const [i, member] of members.entries()) {
      const { delta } = await member.train({ ...job, rng: Rng.of(seed, "attack-guess", i, job.round) });
      for (let k = 0; k < mean.length; k++) mean[k] = (mean[k] as number) + (delta[k] as number) / members.length;
    }
    return mean;
  }
}

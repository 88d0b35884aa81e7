/** What `strategy` needs of the rest of federation.yaml. */
import type { FederationConfig } from "../../shared/config/federation.ts";
import { invalidField } from "../../shared/config/parse.ts";

/** Strategies whose sums are more than a mean: a rule that drops or changes updates would not drop what rides with them. */
const NEEDS_MEAN: readonly string[] = ["fednova", "qfedavg", "scaffold"];

/** CONFIG_INVALID naming the field that does not go with the strategy. */
export function checkStrategy(config: FederationConfig): void {
  const { strategy, training, aggregation, clip } = config;
  const { name } = strategy;
  if (NEEDS_MEAN.includes(name) && aggregation.rule !== "mean") {
    throw invalidField("aggregation.rule", `mean, which ${name} is defined for`, aggregation.rule);
  }
  if ((name === "scaffold" || name === "feddyn") && training.personal.length > 0) {
    throw invalidField("training.personal", `nothing, as ${name} keeps something else at the sites`, training.personal);
  }
  if (name === "scaffold") {
    if (training.optimizer.name !== "sgd") {
      throw invalidField("training.optimizer.name", "sgd, whose steps scaffold corrects", training.optimizer.name);
    }
    if (clip.norm !== null) {
      throw invalidField("clip.norm", "null, as scaffold's control variates are no part of the update", clip.norm);
    }
  }
  if (name === "fednova" && training.proximal > 0) {
    throw invalidField("training.proximal", "0, as fednova counts plain steps", training.proximal);
  }
  if (name === "feddyn" && training.proximal > 0 && training.proximal !== strategy.alpha) {
    throw invalidField("training.proximal", `0 or strategy.alpha (${strategy.alpha})`, training.proximal);
  }
  if (name === "fedbuff") checkBuffer(config, strategy.buffer);
  if (name === "qfedavg" && strategy.lossRange[0] >= strategy.lossRange[1]) {
    throw invalidField("strategy.lossRange", "a smaller and a larger loss", strategy.lossRange);
  }
}

/** A buffer is filled by whoever comes first: a secure sum would have to know its cohort before. */
function checkBuffer({ secureAggregation: { mode }, schedule }: FederationConfig, buffer: number): void {
  if (mode !== "off") throw invalidField("secureAggregation.mode", "off, as fedbuff is asynchronous", mode);
  const { minSurvivors, cohort } = schedule;
  if (buffer < minSurvivors || buffer > cohort.max) {
    throw invalidField(
      "strategy.buffer",
      `schedule.minSurvivors to cohort.max (${minSurvivors} to ${cohort.max})`,
      buffer,
    );
  }
}

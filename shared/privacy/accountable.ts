/**
 * What a plan with differential privacy may ask for: everything else reaches further than the noise that is accounted for.
 * The coordinator checks it when it reads federation.yaml, and every site again when the plan comes.
 */
import type { FederationConfig } from "../config/federation.ts";
import { invalidField } from "../config/parse.ts";
import { adaptiveClip } from "./adaptive-clip.ts";

/** What decides it; a training plan has all of it. */
export type AccountableTerms = Pick<
  FederationConfig,
  "privacy" | "training" | "strategy" | "secureAggregation" | "aggregation" | "clip"
> & { readonly schedule: Pick<FederationConfig["schedule"], "minSurvivors"> };

/** Throws CONFIG_INVALID. */
export function checkAccountable(terms: AccountableTerms): void {
  if (terms.privacy.unit === "none") return;
  checkStrategy(terms);
  if (terms.privacy.unit === "example") checkExample(terms);
  else checkClient(terms);
}

/** Strategies whose clients send nothing but a delta that weighs as it is. */
const PLAIN = new Set<string>(["fedavg", "fedprox", "fedadam", "fedyogi", "fedadagrad"]);

/** What others send or scale by has no noise. */
function checkStrategy({ strategy }: AccountableTerms): void {
  if (PLAIN.has(strategy.name)) return;
  throw invalidField("strategy.name", `${[...PLAIN].join(", ")}, with differential privacy`, strategy.name);
}

/** Whatever lets one example reach further than its own clipped gradient is not accounted for. */
function checkExample({ privacy, training }: AccountableTerms): void {
  if (privacy.unit !== "example") return;
  const { localEpochs, curriculum, semiSupervised, distillation, batchSize } = training;
  const why = "with privacy.unit: example";
  if (localEpochs !== undefined) throw invalidField("training.localEpochs", `localSteps instead, ${why}`, localEpochs);
  if (curriculum !== null) throw invalidField("training.curriculum", `null, ${why}`, curriculum.measure);
  if (semiSupervised !== null) throw invalidField("training.semiSupervised", `null, ${why}`, "a teacher");
  if (distillation !== null) throw invalidField("training.distillation", `null, ${why}`, distillation.teacher);
  if (privacy.minExamples < batchSize) {
    throw invalidField("privacy.minExamples", `at least training.batchSize (${batchSize})`, privacy.minExamples);
  }
}

/** The noise of `minSurvivors` sites must be in every sum that is opened. */
function checkClient({ privacy, schedule, secureAggregation, aggregation, clip }: AccountableTerms): void {
  if (privacy.unit !== "client") return;
  const why = "with privacy.unit: client";
  if (aggregation.rule !== "mean") throw invalidField("aggregation.rule", `mean, ${why}`, aggregation.rule);
  const { groups, mode } = secureAggregation;
  if (groups !== null) throw invalidField("secureAggregation.groups", `null, ${why}`, `groups of ${groups.size}`);
  if (clip.norm !== null) throw invalidField("clip.norm", "null, as privacy.clipNorm is the bound", clip.norm);
  const adaptive = adaptiveClip(privacy);
  if (adaptive !== null && !(adaptive.min <= adaptive.from && adaptive.from <= adaptive.max)) {
    const { min, max, from } = adaptive;
    throw invalidField("privacy.clipNorm.adaptive.from", `between min (${min}) and max (${max})`, from);
  }
  const { colluders } = privacy;
  if (mode !== "off" && colluders > schedule.minSurvivors - 2) {
    // One client alone would bear all the noise, and know it.
    throw invalidField(
      "privacy.colluders",
      `at most schedule.minSurvivors - 2 (${schedule.minSurvivors - 2})`,
      colluders,
    );
  }
}

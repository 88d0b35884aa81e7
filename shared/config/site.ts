/** Schema of site.yaml: where the data lies, what its labels mean, and what this site allows. */
import { z } from "zod";
import { CodedError } from "../errors.ts";
import { bandwidth } from "./units.ts";
import { parseWindows } from "./window.ts";

const hours = z.string().transform((text, context) => {
  try {
    return parseWindows(text, "hours");
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof CodedError ? error.message : String(error) });
    return z.NEVER;
  }
});

export const sitePolicy = z.strictObject({
  /** The plan is shown and approved by a person: after every change of the plan, or once for good. */
  approve: z.enum(["every-change", "once"]).default("every-change"),
  /** Fewest clients in a training cohort (those who advertised keys), this one included. */
  minCohort: z.int().min(1).max(10_000).default(4),
  /** Fewest clients whose deltas are in one sum. */
  minSurvivors: z.int().min(1).max(10_000).default(3),
  /**
   * Fewest clients in the sum of one group, where a plan cuts the cohort into groups (secureAggregation.groups): two more
   * than may help the coordinator without harm, which can arrange who is in a group.
   */
  minGroup: z.int().min(3).max(64).default(3),
  /**
   * Share of a cohort, at least, that may help the coordinator without harm, where a plan's cohorts can be too large for
   * everybody to share with everybody: the plan's corruptionRate, from which the number of share holders follows.
   */
  minCorruptionRate: z.number().min(0).max(0.3).default(0.1),
  /** The least protection this site accepts: malicious > semi-honest > off. */
  requireSecureAggregation: z.enum(["malicious", "semi-honest", "off"]).default("malicious"),
  privacy: z
    .strictObject({
      /** Most that this site's data may cost in all; null: no limit. */
      maxEpsilon: z.number().positive().nullable().default(null),
      /** What maxEpsilon is counted at, or at the plan's delta where that is smaller; plans with a larger one are refused. */
      delta: z.number().min(1e-10).max(0.1).default(1e-5),
      /** Longest update that a plan which protects whole sites may let through (its clipNorm, or max of it); null: any. */
      maxClipNorm: z.number().positive().nullable().default(null),
    })
    .prefault({}),
  models: z.array(z.string().min(1)).min(1).default(["allulook4"]),
  /** May the parent of a round that was signed void be trained on again? */
  allowVoid: z.boolean().default(true),
  /** May the coordinator forget sessions that it told this site of, as when a backup of it is restored? */
  allowRestored: z.boolean().default(false),
  /** When this site begins rounds, in its own time zone unless one is named; null: always. */
  hours: hours.nullable().default(null),
  cpu: z
    .strictObject({ threads: z.int().min(1).max(1024).default(2), nice: z.int().min(0).max(19).default(10) })
    .prefault({}),
  /** Bytes a second; null: no limit. */
  bandwidth: z
    .strictObject({ up: bandwidth.nullable().default(null), down: bandwidth.nullable().default(null) })
    .prefault({}),
});
export type SitePolicy = z.infer<typeof sitePolicy>;

export const siteConfig = z.strictObject({
  coordinator: z.url({ protocol: /^https?$/, error: "expected an http:// or https:// address" }),
  /** Folder with annotations.json or plain pictures; relative to the site folder. */
  data: z.string().min(1).default("./data"),
  /** This site's class names -> the federation's. */
  labels: z.strictObject({ map: z.record(z.string(), z.string().min(1)).default({}) }).prefault({}),
  /** Release folder of the model that a plan distils from, where one does; relative to the site folder. */
  teacher: z.string().min(1).nullable().default(null),
  policy: sitePolicy.prefault({}),
});

/** site.yaml with every default filled in. */
export type SiteConfig = z.infer<typeof siteConfig>;

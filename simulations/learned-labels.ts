/** Of data's labels, those that a model learns. */
import type { FederationConfig } from "../shared/config/federation.ts";
import { factsOf } from "../shared/config/models.ts";
import type { Head } from "../shared/release/scores.ts";

type Labels = FederationConfig["labels"];

/**
 * Labels of other heads are left out. Metric depth is learned as relative depth by a model whose losses know neither
 * scale nor shift.
 *
 * @param heads that the model `name` has
 */
export function learnedLabels(name: string, heads: ReadonlySet<Head>, labels: Labels): Labels {
  const learned = <T>(head: Head, names: T, none: T) => (heads.has(head) ? names : none);
  const only = factsOf(name)?.depth;
  const depth: Labels["depth"] = labels.depth.kind === "metric" && only !== undefined ? { kind: only } : labels.depth;
  return {
    detection: learned("detection", labels.detection, []),
    segmentation: learned("segmentation", labels.segmentation, []),
    scene: learned("scene", labels.scene, []),
    depth: learned("depth", depth, { kind: "none" }),
  };
}

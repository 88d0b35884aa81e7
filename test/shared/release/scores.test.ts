import { expect, test } from "@jest/globals";
import { metricsFromStatistics, statisticsLayout } from "../../../models/metrics/statistics.ts";
import { HEAD_METRICS, HEADS } from "../../../shared/release/scores.ts";

test("a stop rule may name exactly the metrics that an evaluation gives", () => {
  const layout = statisticsLayout({
    detection: ["a"],
    segmentation: ["a"],
    scene: ["a", "b"],
    depth: { kind: "metric" },
  });
  const metrics = metricsFromStatistics(layout, new Float64Array(layout.length).fill(1));
  for (const head of HEADS) {
    const given = Object.keys(metrics[head] ?? {}).filter((name) => !name.startsWith("baseline"));
    expect(given.toSorted()).toEqual(HEAD_METRICS[head].toSorted());
  }
});

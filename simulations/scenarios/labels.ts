/** The label space of generated rooms. */
import type { Labels } from "../../shared/config/federation.ts";

export const SEGMENTATION = ["background", "floor", "furniture", "person", "device", "plant"] as const;
export const DETECTION = ["person", "seat", "table", "bed", "device"] as const;
export const SCENES = ["office", "ward", "corridor", "lobby"] as const;

export type SegmentationClass = (typeof SEGMENTATION)[number];
export type DetectionClass = (typeof DETECTION)[number];
export type SceneClass = (typeof SCENES)[number];

/** What federation.yaml says under `labels` for generated rooms. */
export const ROOM_LABELS: Labels = {
  detection: [...DETECTION],
  segmentation: [...SEGMENTATION],
  scene: [...SCENES],
  depth: { kind: "metric" },
};

/** The fusion of Allulook4: visual tokens attend to the other modality's, and a gate from its mean dims or amplifies them. */
import { CrossModalFusion } from "../layers/cross-modal.ts";
import type { Fusion } from "../part-types.ts";
import { HEADS } from "../presets.ts";

export const gatedAttention: Fusion = ({ name, visual, other, presence, modality, mask }, { one }) =>
  one(new CrossModalFusion({ name, heads: HEADS, modality }), [
    visual,
    other,
    presence,
    ...(mask === null ? [] : [mask]),
  ]);

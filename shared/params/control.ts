/**
 * Params with a control variate of the same shape behind them (SCAFFOLD): one vector, so that it is summed, committed, sent
 * and checked like any params. What a person uses as a model is the first half.
 */
import { layoutOf, type ParamLayout } from "./layout.ts";

const PREFIX = "control/";

/** The layout of [params, control variate]. */
export function withControl(layout: ParamLayout): ParamLayout {
  return layoutOf([
    ...layout.tensors,
    ...layout.tensors.map(({ name, shape }) => ({ name: `${PREFIX}${name}`, shape })),
  ]);
}

/** The model's layout: itself where there is no control variate. */
export function modelLayout(layout: ParamLayout): ParamLayout {
  const first = layout.tensors.findIndex(({ name }) => name.startsWith(PREFIX));
  return first < 0 ? layout : layoutOf(layout.tensors.slice(0, first));
}

/** [params, 0]: every federation begins without a correction. */
export function paramsWithControl(params: Float32Array): Float32Array {
  const out = new Float32Array(2 * params.length);
  out.set(params);
  return out;
}

/**
 * Structural dissimilarity, (1 - SSIM) / 2 (Wang et al. 2004, in windows of 3 x 3 as Godard et al. 2017 take it). Only
 * windows in which every cell has a reading count.
 */
import { add, type DepthLoss } from "./map.ts";

const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;
const SIDE = 3;
const CELLS = SIDE * SIDE;

export const ssim: DepthLoss = ({ width, height, prediction, target, weight }) => {
  const gradient = new Float64Array(prediction.length);
  let value = 0;
  let windows = 0;
  const cells: number[] = Array.from({ length: CELLS }, () => 0);
  for (let top = 0; top + SIDE <= height; top++) {
    for (let left = 0; left + SIDE <= width; left++) {
      for (let k = 0; k < CELLS; k++) cells[k] = (top + Math.floor(k / SIDE)) * width + left + (k % SIDE);
      if (!cells.every((cell) => (weight[cell] as number) > 0)) continue;
      windows++;
      let meanX = 0;
      let meanY = 0;
      for (const cell of cells) {
        meanX += (prediction[cell] as number) / CELLS;
        meanY += (target[cell] as number) / CELLS;
      }
      let varianceX = 0;
      let varianceY = 0;
      let covariance = 0;
      for (const cell of cells) {
        const dx = (prediction[cell] as number) - meanX;
        const dy = (target[cell] as number) - meanY;
        varianceX += (dx * dx) / CELLS;
        varianceY += (dy * dy) / CELLS;
        covariance += (dx * dy) / CELLS;
      }
      const a1 = 2 * meanX * meanY + C1;
      const a2 = 2 * covariance + C2;
      const b1 = meanX * meanX + meanY * meanY + C1;
      const b2 = varianceX + varianceY + C2;
      const similarity = (a1 * a2) / (b1 * b2);
      value += (1 - similarity) / 2;
      // d similarity / d mean, and by covariance and variance, each divided by the number of cells.
      const byMean = ((2 * meanY * a2) / (b1 * b2) - (similarity / b1) * 2 * meanX) / CELLS;
      const byCovariance = (2 * a1) / (b1 * b2) / CELLS;
      const byVariance = (-2 * similarity) / b2 / CELLS;
      for (const cell of cells) {
        const dx = (prediction[cell] as number) - meanX;
        const dy = (target[cell] as number) - meanY;
        add(gradient, cell, -(byMean + byCovariance * dy + byVariance * dx) / 2);
      }
    }
  }
  return windows === 0 ? null : { value: value / windows, gradient: gradient.map((by) => by / windows) };
};

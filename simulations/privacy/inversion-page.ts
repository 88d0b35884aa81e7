/** The pictures of a gradient inversion, side by side on one page without outside parts. */
import sharp from "sharp";
import { html, type Markup } from "../report/markup.ts";
import type { InversionResult } from "./inversion.ts";

/** @param size of the square pictures */
export async function inversionPage(result: InversionResult, size: number, clients: number): Promise<string> {
  const { truth, plain, masked, sum } = result;
  const panels = await Promise.all(
    [
      { title: "The client's picture", words: "never leaves the site", picture: truth },
      { title: "From its plain update", words: measure(plain.correlation), picture: plain.picture },
      { title: "From its masked update", words: measure(masked.correlation), picture: masked.picture },
      { title: `From the sum of ${clients} clients`, words: measure(sum.correlation), picture: sum.picture },
    ].map((panel) => figure(panel, size)),
  );
  return html`<!doctype html>
    <html lang="en">
      <meta charset="utf-8" />
      <title>Gradient inversion</title>
      <style>
        body {
          font:
            16px/1.5 system-ui,
            sans-serif;
          margin: 2rem auto;
          max-width: 62rem;
          padding: 0 1rem;
          color: #1b1f24;
        }
        .row {
          display: flex;
          gap: 1.5rem;
          flex-wrap: wrap;
        }
        figure {
          margin: 0;
        }
        img {
          width: 208px;
          image-rendering: pixelated;
          border: 1px solid #c9ced6;
        }
        figcaption {
          max-width: 208px;
        }
        small {
          color: #57606a;
        }
      </style>
      <h1>Gradient inversion</h1>
      <p>
        One step of training on one picture, and the same attack on what three parties see: a trusted coordinator
        without secure aggregation sees the plain update; under secure aggregation it sees the masked one and the sum.
      </p>
      <div class="row">${panels}</div>
      <p>
        <small
          >The sum mixes the pictures of all its clients: secure aggregation hides who, not what they have in common.
          Only differential privacy bounds what the sum tells. Pictures are generated.</small
        >
      </p>
    </html>`.text;
}

const measure = (correlation: number) => `correlation with the picture ${correlation.toFixed(3)}`;

async function figure(
  { title, words, picture }: { title: string; words: string; picture: Float32Array },
  size: number,
): Promise<Markup> {
  const bytes = Uint8Array.from(picture, (value) => Math.round(value * 255));
  const png = await sharp(bytes, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toBuffer();
  return html`<figure>
    <img alt="${title}" src="data:image/png;base64,${png.toString("base64")}" />
    <figcaption><strong>${title}</strong><br /><small>${words}</small></figcaption>
  </figure>`;
}

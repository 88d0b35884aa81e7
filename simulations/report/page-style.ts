/** The report's style: light, dark and on paper; no font or picture from elsewhere. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f6f8fa; --card: #ffffff; --ink: #17202a; --soft: #55606c; --line: #dde3ea; --accent: #0b63b8;
  --good: #11805a; --bad: #b3261e; --warn-paper: #fff4d6; --warn-ink: #6b4a00; --bar: #cfe0f2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f141a; --card: #171e26; --ink: #e8edf2; --soft: #a3afbb; --line: #2b3440; --accent: #6db3f2;
    --good: #7fd1ae; --bad: #ff8a80; --warn-paper: #3a2f12; --warn-ink: #f3d38b; --bar: #27405a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main, header, footer { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 44px 0 4px; }
h3 { font-size: 15px; margin: 0; }
p { margin: 4px 0 12px; }
.soft { color: var(--soft); }
.small { font-size: 14px; }
.badges { display: flex; flex-wrap: wrap; gap: 8px; margin: 14px 0 0; padding: 0; list-style: none; }
.badges li { border: 1px solid var(--line); background: var(--card); border-radius: 999px; padding: 2px 12px; font-size: 14px; }
.badges .warn { background: var(--warn-paper); color: var(--warn-ink); border-color: transparent; font-weight: 600; }
.tiles, .charts { display: grid; gap: 16px; margin-top: 16px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr)); }
.tile, .chart, .sample, .sheet { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 14px 18px; }
.tile dt { color: var(--soft); font-size: 14px; }
.tile dd { margin: 0; }
.tile .value { font-size: 28px; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); }
.chart { margin: 0; padding: 14px 14px 8px; min-width: 0; }
.chart figcaption { display: flex; justify-content: space-between; gap: 12px; align-items: baseline; padding: 0 4px 6px; }
.chart figcaption span { white-space: nowrap; font-size: 13px; }
.chart .u-legend { font-size: 13px; color: var(--soft); }
.chart .u-legend th { font-weight: 500; }
.chart .u-legend .u-value { font-variant-numeric: tabular-nums; color: var(--ink); }
.sample { padding: 18px; margin-top: 16px; break-inside: avoid; }
.sample > header { padding: 0; margin: 0; max-width: none; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 28px; margin: 2px 0 14px; font-size: 14px; }
.facts div { display: flex; gap: 8px; } .facts dt { color: var(--soft); } .facts dd { margin: 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 18px 16px; }
.panels figure { margin: 0; min-width: 0; }
.panels img { width: 100%; height: auto; border-radius: 6px; display: block; background: var(--line); }
.panels figcaption { font-size: 14px; margin-top: 6px; }
.panels .note { color: var(--soft); font-size: 13px; display: block; }
.legend { list-style: none; padding: 0; margin: 2px 0 0; display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 13px; }
.legend svg { width: 11px; height: 11px; margin-right: 5px; vertical-align: -1px; }
.sheet { margin-top: 16px; overflow-x: auto; }
.sheet table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
.sheet th, .sheet td { padding: 7px 10px; text-align: right; border-top: 1px solid var(--line); white-space: nowrap; }
.sheet thead th { white-space: normal; border-top: 0; color: var(--soft); font-weight: 600; vertical-align: bottom; }
.sheet thead tr + tr th { padding-top: 0; }
.sheet th:first-child, .sheet td:first-child { text-align: left; }
.sheet tbody tr:hover { background: color-mix(in srgb, var(--accent) 6%, transparent); }
.sheet td code { white-space: nowrap; font-size: 12px; }
.sheet th.group { text-align: center; }
.sheet th.left, .sheet td.left { text-align: left; white-space: normal; }
.sheet caption { text-align: left; padding: 10px 12px 2px; }
main a { color: var(--accent); }
.strips { padding: 12px 14px; } .strips table { table-layout: fixed; min-width: 640px; }
.strips td, .strips th { padding: 4px; text-align: center; border: 0; }
.strips img { width: 100%; height: auto; display: block; border-radius: 4px; image-rendering: pixelated; }
.sizes { padding: 16px 18px; }
.sizes svg { width: 100%; height: 10px; display: block; border-radius: 5px; background: var(--bar); margin: 2px 0 12px; }
.sizes rect { fill: var(--accent); }
.sizes .row { display: flex; justify-content: space-between; gap: 16px; font-size: 14px; }
code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 16px; align-items: start; }
footer { padding-top: 28px; padding-bottom: 48px; color: var(--soft); font-size: 14px; }
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --accent: #0b63b8; --good: #11805a;
    --bad: #b3261e; --bar: #dce8f4; --warn-paper: #fff; --warn-ink: #000; }
  body { font-size: 12px; } main, header, footer { max-width: none; padding-left: 0; padding-right: 0; }
  .chart, .tile, .sheet { break-inside: avoid; } .charts { grid-template-columns: repeat(2, 1fr); }
  .panels { grid-template-columns: repeat(3, 1fr); } .sheet th, .sheet td { padding: 3px 5px; font-size: 10px; }
  .sheet { overflow: visible; }
}
`;

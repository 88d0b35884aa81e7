/** Draws the charts in the reader's browser with uPlot. Stands alone: the page holds this function's own text. */
import type uPlotClass from "uplot";
import type { Chart } from "./charts.ts";

export function drawCharts(uPlot: typeof uPlotClass): void {
  const charts = JSON.parse(document.getElementById("chart-data")?.textContent ?? "[]") as Chart[];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn: { plot: uPlotClass; place: HTMLElement }[] = [];

  const draw = (isDark: boolean): void => {
    for (const { plot } of drawn.splice(0)) plot.destroy();
    const colours = isDark
      ? { main: "#6db3f2", second: "#7fd1ae", baseline: "#c9a36a", text: "#b9c2cc", grid: "#2b3440" }
      : { main: "#0b63b8", second: "#11805a", baseline: "#8a5a00", text: "#4a5560", grid: "#e3e8ee" };
    // Okabe and Ito 2008, with the yellow darkened on white paper.
    const many = ["#e69f00", "#56b4e9", "#009e73", isDark ? "#f0e442" : "#a89a00", "#0072b2", "#d55e00", "#cc79a7"];
    const colourOf = (role: Chart["series"][number]["role"]): string =>
      typeof role === "number" ? (many[role % many.length] as string) : colours[role];
    for (const [i, chart] of charts.entries()) {
      const place = document.getElementById(`chart-${i}`);
      if (place === null) continue;
      // What the legend shows while there is no cursor.
      const lastScored = chart.series[0]?.values.findLastIndex((value) => value !== null) ?? 0;
      const write = (value: number | null): string =>
        value === null ? "–" : chart.share ? `${(value * 100).toFixed(1)} %` : value.toPrecision(3);
      const axis = { stroke: colours.text, grid: { stroke: colours.grid, width: 1 }, ticks: { show: false } };
      const whole = (ticks: number[]) => ticks.map((tick) => (Number.isInteger(tick) ? String(tick) : ""));
      const options: uPlotClass.Options = {
        width: Math.max(240, place.clientWidth),
        height: 210,
        cursor: { y: false, points: { size: 7 } },
        scales: {
          x: { time: false },
          y: {
            range: (_plot, low, high) => {
              const top = high > 0 ? high * 1.08 : 1;
              return [chart.share || low >= 0 ? 0 : low * 1.08, chart.share ? Math.min(1, top) : top];
            },
          },
        },
        axes: [
          { ...axis, values: (_plot, ticks) => whole(ticks), size: 30 },
          {
            ...axis,
            size: 52,
            values: (_plot, ticks) =>
              ticks.map((tick) =>
                chart.share ? `${Math.round(tick * 1000) / 10} %` : String(Number(tick.toPrecision(3))),
              ),
          },
        ],
        series: [
          { label: chart.x.label, value: (_plot, x) => String(x ?? chart.x.values[lastScored] ?? "–") },
          ...chart.series.map(({ label, role, values }) => ({
            label,
            stroke: colourOf(role),
            // A failed round has no score; the line goes on.
            spanGaps: true,
            width: role === "main" ? 2.5 : typeof role === "number" ? 2 : 1.5,
            ...(role === "baseline" ? { dash: [6, 5] } : {}),
            points: { show: role !== "baseline", size: role === "main" ? 6 : 4, fill: colourOf(role) },
            value: (_plot: uPlotClass, value: number | null, _series: number, at: number | null) =>
              write(at === null ? (values[lastScored] ?? null) : value),
          })),
        ],
      };
      const data = [chart.x.values, ...chart.series.map(({ values }) => values)] as unknown as uPlotClass.AlignedData;
      drawn.push({ plot: new uPlot(options, data, place), place });
    }
  };

  draw(dark.matches);
  dark.addEventListener("change", () => draw(dark.matches));
  addEventListener("beforeprint", () => draw(false));
  addEventListener("afterprint", () => draw(dark.matches));
  addEventListener("resize", () => {
    for (const { plot, place } of drawn) plot.setSize({ width: Math.max(240, place.clientWidth), height: 210 });
  });
}

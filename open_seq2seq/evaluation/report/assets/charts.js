// Bar charts, drawn as SVG. Every bar can be selected with the mouse or the keyboard.

const CHART = {width: 420, height: 190, left: 40, right: 6, top: 16, bottom: 38};

// A step of 1, 2 or 5 times a power of ten with which `most` is reached in 3 to 6 steps.
function roundStep(most) {
  const power = 10 ** Math.floor(Math.log10(most / 3));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => most / step <= 5.5);
}

// chart: {title, x_label, y_label, is_rate, bars: [{label, height, low, high, utterances, value}]}; onSelect(bar or null)
function barChart(chart, onSelect) {
  const {width, height, left, right, top, bottom} = CHART, bars = chart.bars;
  const most = Math.max(...bars.map((bar) => bar.high ?? bar.height), chart.is_rate ? 0.01 : 1);
  const step = Math.max(roundStep(most), chart.is_rate ? 0 : 1), highest = Math.max(step * Math.ceil(most / step), most);
  const y = (value) => height - bottom - value / highest * (height - top - bottom);
  const svg = draw("svg", {viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": chart.title});
  for (let i = 0; i * step <= highest * 1.0001; i++) {
    const value = i * step, text = chart.is_rate ? `${+(100 * value).toPrecision(3)} %` : grouped(value);
    svg.append(draw("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}),
               draw("text", {x: left - 5, y: y(value) + 3.5, "text-anchor": "end"}, text));
  }
  const room = (width - left - right) / bars.length, selected = {bar: null};
  const elements = bars.map((bar, i) => {
    const x = left + i * room, gap = Math.min(room * 0.15, 4);
    const group = draw("g", {class: "bar", role: "button", tabindex: i ? -1 : 0, "aria-pressed": "false",
                             "aria-label": `${bar.label} ${chart.unit}: ${bar.value}`});
    group.append(draw("title", {}, `${bar.label} ${chart.unit}: ${bar.value}`),
                 draw("rect", {class: "filled", x: x + gap, width: room - 2 * gap, y: y(bar.height), rx: 2,
                               height: Math.max(y(0) - y(bar.height), bar.height > 0 ? 1 : 0)}));
    if (bar.high !== null && bar.high !== undefined && bar.utterances) {
      const middle = x + room / 2;
      group.append(draw("path", {class: "whisker", d: `M${middle} ${y(bar.low)}V${y(bar.high)}M${middle - 3} ${y(bar.high)}h6` +
                                                      `M${middle - 3} ${y(bar.low)}h6`}));
    }
    group.append(draw("rect", {class: "area", x, width: room, y: top, height: height - top - bottom}));
    svg.append(group);
    // edges between the bars, as many as there is room for
    const every = Math.ceil(bars.length / 12);
    if (i % every === 0) {
      svg.append(draw("text", {x: bar.at_edge ? x : x + room / 2, y: height - bottom + 14, "text-anchor": "middle"}, bar.tick));
    }
    return group;
  });
  svg.append(draw("text", {x: left, y: 9}, chart.y_label),
             draw("text", {x: width - right, y: height - 6, "text-anchor": "end"}, chart.x_label));
  const select = (i) => {
    selected.bar = selected.bar === i ? null : i;
    elements.forEach((element, k) => element.setAttribute("aria-pressed", String(k === selected.bar)));
    onSelect(selected.bar === null ? null : bars[i]);
  };
  elements.forEach((element, i) => {
    element.addEventListener("click", () => select(i));
    element.addEventListener("keydown", (event) => {
      const places = {ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: bars.length - 1};
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        select(i);
      } else if (event.key in places && elements[places[event.key]]) {
        event.preventDefault();
        elements.forEach((other) => other.setAttribute("tabindex", -1));
        elements[places[event.key]].setAttribute("tabindex", 0);
        elements[places[event.key]].focus();
      }
    });
  });
  const deselect = () => {
    selected.bar = null;
    elements.forEach((element) => element.setAttribute("aria-pressed", "false"));
  };
  return {element: make("figure", {}, make("figcaption", {}, chart.title), svg), deselect};
}

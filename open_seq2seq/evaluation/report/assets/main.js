// Builds the page.

const EVALUATION = JSON.parse(byId("evaluation").textContent);

function showOverview() {
  byId("headline").append(...EVALUATION.headline.map(({name, value, note}) => make(
    "div", {}, make("dt", {}, name), make("strong", {}, value), make("span", {}, note))));
  byId("notes").append(...EVALUATION.notes.map((note) => make("p", {className: "note"}, note)));
  byId("facts").querySelector("table").append(...EVALUATION.facts.map(([name, value]) => make(
    "tr", {}, make("th", {scope: "row"}, name), make("td", {}, value))));
}

function showCharts(utterances) {
  const records = utterances.records;
  byId("distributions").hidden = !EVALUATION.distributions.length;
  for (const chart of EVALUATION.distributions) {
    const value = {rate: (record) => record.rate, duration: (record) => record.duration, speaking_rate: (record) => record.speakingRate}[
      chart.key];
    const {element, deselect} = barChart(chart, (bar) => utterances.filterFromPage(`chart ${chart.key}`, bar && {
      text: `${chart.x_label}: ${bar.label}`, remove: deselect,
      // the last bar includes its end; null is no limit
      test: (record) => value(record) !== null && (bar.from === null || value(record) >= bar.from) && (
        bar.to === null || value(record) < bar.to)}));
    byId("charts").append(element);
  }
  return records;
}

// A button in a table that lists the utterances with an error.
function filterButton(utterances, text, name, test) {
  const button = make("button", {type: "button", className: "link", "aria-pressed": "false"}, text);
  const release = () => button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const isPressed = button.getAttribute("aria-pressed") === "true";
    utterances.conditions.get("word")?.remove();
    if (!isPressed) button.setAttribute("aria-pressed", "true");
    utterances.filterFromPage("word", isPressed ? null : {
      text: name, remove: release, test: (record) => record.errors > 0 && record.alignment.some(test)});
  });
  return button;
}

function showWords(utterances) {
  const {confusions, deleted, inserted, damaged, unit} = EVALUATION;
  const visible = (text) => text === " " ? "␣" : text;
  const pair = (reference, hypothesis) => make("span", {}, make("bdi", {}, visible(reference)), " ≠ ", make("bdi", {}, visible(hypothesis)));
  const bdi = (text) => make("bdi", {}, visible(text));
  const sets = [
    [`Substituted ${unit}s`, ["Reference ≠ hypothesis", "Times"], confusions.map(([reference, hypothesis, times]) => [
      filterButton(utterances, pair(reference, hypothesis), `${visible(reference)} ≠ ${visible(hypothesis)}`, (column) =>
        column[0] === "S" && column[1] === reference && column[2] === hypothesis), grouped(times)])],
    [`Most damaged ${unit}s`, [unit === "word" ? "Word" : "Character", "Errors", "Occurrences", "Share"], damaged.map(
      ([text, errors, occurrences]) => [
        filterButton(utterances, bdi(text), `error in ${visible(text)}`, (column) => column[0] !== "C" && column[1] === text),
        grouped(errors), grouped(occurrences), percent(errors / occurrences, 0)])],
    [`Deleted ${unit}s`, ["Reference", "Times"], deleted.map(([text, times]) => [
      filterButton(utterances, bdi(text), `deleted: ${visible(text)}`, (column) => column[0] === "D" && column[1] === text),
      grouped(times)])],
    [`Inserted ${unit}s`, ["Hypothesis", "Times"], inserted.map(([text, times]) => [
      filterButton(utterances, bdi(text), `inserted: ${visible(text)}`, (column) => column[0] === "I" && column[2] === text),
      grouped(times)])]];
  const filled = sets.filter(([, , rows]) => rows.length);
  byId("words").hidden = !filled.length;
  byId("word_tables").append(...filled.map(([title, heads, rows]) => make("div", {}, make("h3", {}, title), make(
    "div", {className: "tall", tabIndex: 0, role: "region", "aria-label": title}, table(heads, rows)))));
}

function showGroups() {
  byId("groups").hidden = !EVALUATION.groups.length;
  byId("group_tables").append(...EVALUATION.groups.map(({title, heads, rows}) => make("div", {}, make("h3", {}, title), make(
    "div", {className: "tall", tabIndex: 0, role: "region", "aria-label": title}, table(heads, rows)))));
}

function showComparison() {
  const {comparison} = EVALUATION;
  if (!comparison) return;
  byId("comparison").hidden = false;
  byId("comparison_title").textContent = `Comparison with ${comparison.name}`;
  byId("comparison_content").append(
    make("div", {className: "scroll"}, table(comparison.heads, comparison.rows)),
    make("ul", {}, ...comparison.sentences.map((sentence) => make("li", {}, sentence))));
}

function main() {
  showOverview();
  const utterances = new Utterances(EVALUATION);
  showCharts(utterances);
  showWords(utterances);
  showGroups();
  showComparison();
  for (const link of document.querySelectorAll("header nav a")) link.hidden = document.querySelector(link.hash).hidden;
  document.documentElement.dataset.ready = performance.now().toFixed(1);
  return utterances;
}

const UTTERANCES = main();

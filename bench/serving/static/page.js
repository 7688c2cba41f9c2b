"use strict";
// A text is asked about, and what is found is drawn into it and listed. Texts enter the page as text nodes alone.
(() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  // STEP: pixels between two arcs above a line; TALL: where some of them have a label on them; MANY: relations that are not drawn
  // unless asked for.
  const COLOURS = 8, LANE = 4, STEP = 9, TALL = 18, FOOT = 2, MANY = 40;
  let about = null, token = "", busy = false, view = null;
  // Mentions that the user gives, with offsets in UTF-16 units, and the text that these are of.
  let given = [], marked = "";

  const make = (name, words = "", kind = "") => {
    const element = document.createElement(name);
    if (kind) element.className = kind;
    if (words !== "") element.append(words);
    return element;
  };
  const draw = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const probability = (p) => (p === undefined || p === null ? "" : p.toFixed(2));

  // ---- asking ---------------------------------------------------------------------------------------------------------
  async function ask(path, body) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    if (token) headers.Authorization = `Bearer ${token}`;
    let answer;
    try {
      answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), cache: "no-store" });
    } catch {
      throw new Error("The server does not answer. Is 'bench serve' still running?");
    }
    const content = await answer.json().catch(() => ({}));
    if (answer.status === 401) showKey();
    if (!answer.ok) throw new Error(content.error || `The server answers with ${answer.status}.`);
    return content;
  }

  function complain(error) {
    $("status").textContent = "";
    $("error").textContent = error ? error.message : "";
    $("error").hidden = !error;
  }

  function showKey() {
    token = "";
    $("key").hidden = false;
    $("ask").hidden = true;
    $("token").focus();
  }

  async function start() {
    try {
      about = await ask("about");
    } catch (error) {
      // Before a token was given, the form that wants one says all.
      complain($("key").hidden || $("token").value ? error : null);
      return;
    }
    complain(null);
    $("token").value = "";
    $("key").hidden = true;
    $("ask").hidden = false;
    $("facts").textContent = `${about.task}, ${about.stage} model of run ${about.run}`;
    document.title = `${about.task} · bench serve`;
    $("synthetic").hidden = !about.synthetic;
    if (about.predicts.includes("classes")) $("go").textContent = "Classify";
    if (about.given) offerMarking();
    count();
  }

  function count() {
    const size = [...$("text").value].length;
    const most = about ? about.limits.characters : 0;
    $("count").textContent = size && most ? `${size.toLocaleString("en")} of at most ${most.toLocaleString("en")} characters.` : "";
    return size;
  }

  async function predict() {
    if (busy || !about) return;
    const text = $("text").value;
    const missing = !text.trim() ? "There is no text yet." : about.given && given.length < 2
      ? "Mark two mentions or more: select words in the text, then choose their type." : "";
    if (missing) {
      complain(new Error(missing));
      $("text").focus();
      return;
    }
    busy = true;
    $("go").setAttribute("aria-disabled", "true");
    complain(null);
    $("status").textContent = "Reading …";
    try {
      const mentions = about.given ? asked(text) : null;
      const answer = await ask("predict", { texts: [mentions ? { text, mentions } : text] });
      show(text, mentions ? { ...answer.predictions[0], mentions } : answer.predictions[0]);
    } catch (error) {
      complain(error);
    } finally {
      busy = false;
      $("go").removeAttribute("aria-disabled");
    }
  }

  // ---- marking --------------------------------------------------------------------------------------------------------
  const pairsConcepts = () => about.predicts.includes("pairs");
  const nameOf = (words) => words.toLowerCase().replace(/\s+/g, " ").replaceAll("|", "/");

  function offerMarking() {
    $("marking").hidden = false;
    $("go").textContent = "Relate";
    if (pairsConcepts()) $("mark-hint").textContent = "This model finds relations between concepts, by their mentions, which you give. Select words in the text, then choose their type. Mentions of one concept have its id or name in common.";
    if (!about.labels.length) $("mark-hint").textContent = "This run does not say which types of mentions it relates, so none can be marked here. Ask with POST /predict.";
    $("types").replaceChildren(...about.labels.map((label, i) => {
      const button = make("button");
      button.type = "button";
      button.append(swatch(`c${i % COLOURS}`), label);
      // The text keeps its selection while the button is pressed.
      button.addEventListener("pointerdown", (event) => event.preventDefault());
      button.addEventListener("click", () => markSelection(label));
      return button;
    }));
    showGiven();
  }

  function markSelection(label) {
    follow();
    let { selectionStart: start, selectionEnd: end } = $("text");
    while (start < end && !marked[start].trim()) start += 1;
    while (start < end && !marked[end - 1].trim()) end -= 1;
    if (start === end) {
      complain(new Error("No words are selected: select some in the text first."));
      $("text").focus();
      return;
    }
    complain(null);
    const words = marked.slice(start, end), places = [start];
    const inner = (at) => at >= 0 && at < marked.length && /[\p{L}\p{N}]/u.test(marked[at]);
    // In any case of letters, unless offsets would move with it.
    const low = marked.toLowerCase(), [pile, needle] = low.length === marked.length ? [low, words.toLowerCase()] : [marked, words];
    for (let at = pile.indexOf(needle); $("every").checked && at >= 0; at = pile.indexOf(needle, at + needle.length)) {
      const whole = !(inner(at - 1) && inner(at)) && !(inner(at + words.length - 1) && inner(at + words.length));
      if (whole && (at + words.length <= start || at >= end)) places.push(at);
    }
    const twin = given.find((m) => m.label === label && nameOf(marked.slice(m.start, m.end)) === nameOf(words));
    for (const at of places) {
      const known = given.some((m) => m.label === label && m.start === at && m.end === at + words.length);
      if (!known) given.push({ start: at, end: at + words.length, label, concept: twin ? twin.concept : nameOf(words) });
    }
    showGiven();
    $("status").textContent = `${plural(given.length, "mention")} marked.`;
  }

  // Mentions stay with their words while the text around them changes; those whose words change go.
  function follow() {
    const text = $("text").value, shorter = Math.min(text.length, marked.length);
    if (text === marked) return;
    let same = 0, tail = 0;
    while (same < shorter && text[same] === marked[same]) same += 1;
    while (tail < shorter - same && text.at(-1 - tail) === marked.at(-1 - tail)) tail += 1;
    const changed = marked.length - tail, shift = text.length - marked.length, before = given.length;
    given = given.filter((m) => m.end <= same || m.start >= changed);
    for (const mention of given) if (mention.start >= changed) { mention.start += shift; mention.end += shift; }
    marked = text;
    showGiven();
    if (given.length < before) $("status").textContent = `${plural(before - given.length, "mark")} went with the words that changed.`;
  }

  function showGiven() {
    given.sort((a, b) => a.start - b.start || a.end - b.end);
    $("given").replaceChildren(...given.map((mention) => {
      const item = make("li"), words = marked.slice(mention.start, mention.end), rest = make("span", "", "rest"), gone = make("button", "×", "gone");
      item.append(swatch(`c${about.labels.indexOf(mention.label) % COLOURS}`), make("span", words, "name"), make("span", mention.label, "hint"));
      if (pairsConcepts()) {
        const concept = make("input");
        Object.assign(concept, { value: mention.concept, autocomplete: "off", spellcheck: false });
        concept.setAttribute("aria-label", `Concept of ${words}`);
        concept.addEventListener("change", () => {
          for (const other of given) if (other.label === mention.label && nameOf(marked.slice(other.start, other.end)) === nameOf(words)) other.concept = concept.value.trim();
          showGiven();
        });
        rest.append(concept);
      }
      gone.type = "button";
      gone.setAttribute("aria-label", `Remove ${words}, ${mention.label}`);
      gone.addEventListener("click", () => {
        given = given.filter((m) => m !== mention);
        showGiven();
        ($("given").querySelector(".gone") || $("text")).focus();
      });
      rest.append(gone);
      item.append(rest);
      return item;
    }));
  }

  // The given mentions as the server and the page take them: offsets count characters.
  function asked(text) {
    const place = (unit) => [...text.slice(0, unit)].length;
    return given.map(({ start, end, label, concept }) => ({
      fragments: [[place(start), place(end)]], label, ...(pairsConcepts() && concept ? { concept } : {}),
    }));
  }

  // ---- showing --------------------------------------------------------------------------------------------------------
  // Offsets of an answer count characters (code points); those of JavaScript count UTF-16 units.
  function units(text) {
    const at = [0];
    for (const character of text) at.push(at[at.length - 1] + character.length);
    return at;
  }

  function show(text, document_) {
    const at = units(text);
    const piece = ([start, end]) => text.slice(at[start], at[end]);
    const classes = about.predicts.includes("classes");
    const mentions = document_.mentions.map((mention, index) => ({ ...mention, index }));
    const labels = about.given ? about.labels : [...new Set(mentions.map((m) => m.label))].sort();
    for (const mention of mentions) mention.colour = `c${labels.indexOf(mention.label) % COLOURS}`;
    const relations = (document_.relations || []).map((relation, index) => ({ ...relation, index, ends: endsOf(relation, mentions) }));
    view = { text, at, mentions, relations, marks: [], rows: [], lines: [], related: [], boxes: [], width: 0, chosen: null };
    hideTip();
    $("result").hidden = $("skip").hidden = false;
    $("classes").hidden = !classes;
    $("found").hidden = classes;
    if (classes) showClasses(document_.judgements || []);
    else showMentions(mentions, relations, labels, piece);
    showRelations(piece);
    layOut();
  }

  function showClasses(judgements) {
    const sorted = [...judgements].sort((a, b) => b.score - a.score);
    $("bars").replaceChildren(...sorted.map((judgement) => {
      const item = make("li", "", judgement.chosen ? "chosen" : "");
      const track = make("div", "", "track"), fill = make("div", "", "fill");
      fill.style.width = `${100 * Math.max(0, Math.min(1, judgement.score))}%`;
      track.append(fill);
      track.setAttribute("aria-hidden", "true");
      item.append(make("span", judgement.name + (judgement.chosen ? " (chosen)" : ""), "name"), track, make("span", probability(judgement.score), "n"));
      return item;
    }));
    const chosen = sorted.filter((j) => j.chosen).map((j) => j.name);
    $("status").textContent = chosen.length ? `Class: ${chosen.join(", ")}.` : "No class is chosen.";
  }

  function fragmentsOf(mention, piece) {
    const parts = [];
    mention.fragments.forEach((fragment, i) => parts.push(...(i ? [make("span", " … ", "gap")] : []), piece(fragment)));
    return parts;
  }

  function swatch(colour) {
    const square = make("span", "", `swatch ${colour}`);
    square.setAttribute("aria-hidden", "true");
    return square;
  }

  function columns(table, names) {
    const row = make("tr");
    for (const [name, kind] of names) {
      const head = make("th", name, kind);
      head.scope = "col";
      row.append(head);
    }
    table.querySelector("thead").replaceChildren(row);
  }

  const slotsOf = (mention) => Object.entries(mention.slots || {}).map(([name, values]) => `${name}: ${values.join(", ")}`).join("; ");

  function showMentions(mentions, relations, labels, piece) {
    $("legend").replaceChildren(...labels.filter((label) => mentions.some((m) => m.label === label)).map((label) => {
      const these = mentions.filter((m) => m.label === label), item = make("li");
      item.append(swatch(these[0].colour), `${label} (${these.length.toLocaleString("en")})`);
      return item;
    }));
    $("legend").hidden = !mentions.length;
    const has = {
      concept: mentions.some((m) => m.concept), confidence: mentions.some((m) => m.confidence !== undefined), slots: mentions.some((m) => m.slots),
    };
    const names = [["Mention", ""], ["Type", ""]];
    if (has.concept) names.push(["Concept", ""]);
    if (has.confidence) names.push(["Confidence", "n"]);
    if (has.slots) names.push(["Attributes", ""]);
    names.push(["Characters", ""]);
    columns($("list"), names);
    view.rows = mentions.map((mention) => {
      const row = make("tr", "", mention.colour), head = make("th"), button = make("button", "", "mention");
      head.scope = "row";
      button.type = "button";
      button.append(...fragmentsOf(mention, piece));
      head.append(button);
      const type = make("td", "", "label");
      type.append(swatch(mention.colour), mention.label);
      row.append(head, type);
      if (has.concept) row.append(make("td", mention.concept || "none"));
      if (has.confidence) row.append(make("td", probability(mention.confidence), "n"));
      if (has.slots) row.append(make("td", slotsOf(mention), "words"));
      row.append(make("td", mention.fragments.map(([a, b]) => `${a}–${b}`).join(", ")));
      row.addEventListener("mouseenter", () => mark([mention]));
      row.addEventListener("mouseleave", () => mark([]));
      button.addEventListener("focus", () => mark([mention]));
      button.addEventListener("blur", () => { hideTip(); mark([]); });
      button.addEventListener("click", () => point(mention));
      return row;
    });
    $("list").querySelector("tbody").replaceChildren(...view.rows);
    $("help").textContent = `Point at a mention, or choose one in the list, to see its type, concept and confidence.${
      mentions.some((m) => m.fragments.length > 1) ? " An arc in the colour of a mention joins its fragments." : ""}${
      relations.length ? ` An arc with a label is a relation${about.directed ? ", and its arrow points at what it goes to" : ""}${
        pairsConcepts() ? "; it joins those mentions of two concepts that are nearest" : ""}.` : ""}`;
    for (const id of ["list-title", "help"]) $(id).hidden = !mentions.length;
    $("list").parentElement.hidden = !mentions.length;
    const apart = mentions.filter((m) => m.fragments.length > 1).length;
    $("status").textContent = mentions.length
      ? `${plural(mentions.length, "mention")}${about.given ? " given" : ""}${apart ? `, ${apart} in more than one fragment` : ""}.` : "No mentions are found.";
  }

  // The mentions that a relation joins: those of its ends; of two concepts, the two of their mentions that are nearest.
  function endsOf(relation, mentions) {
    const key = (end) => JSON.stringify(end);
    const [sources, targets] = [relation.source, relation.target].map(([fragments, label]) => mentions.filter((m) => (
      fragments.length ? key([m.fragments, m.label]) === key([fragments, label]) : (m.concept || "").split("|").includes(label)
    )));
    const gap = (a, b) => Math.max(a.fragments[0][0] - b.fragments.at(-1)[1], b.fragments[0][0] - a.fragments.at(-1)[1]);
    const pairs = sources.flatMap((a) => targets.filter((b) => b !== a).map((b) => ({ source: a, target: b, gap: gap(a, b) })));
    return pairs.length ? { ...pairs.reduce((best, pair) => (pair.gap < best.gap ? pair : best)), all: [...sources, ...targets] } : null;
  }

  function showRelations(piece) {
    const relations = view.relations, drawn = relations.filter((r) => r.ends).length;
    $("related").hidden = $("arcs-row").hidden = !relations.length;
    $("arcs-label").textContent = `Show ${drawn === 1 ? "the relation as an arc" : `the ${drawn.toLocaleString("en")} relations as arcs`}`;
    $("arcs").checked = drawn <= MANY;
    $("arcs-row").hidden = !drawn;
    if (about.given) $("status").textContent += relations.length ? "" : " No relations are found between them.";
    if (!relations.length) return;
    const sides = about.directed ? ["From", "To"] : ["Mention", "Other mention"];
    columns($("relations"), [[sides[0], ""], ["Relation", ""], [sides[1], ""], ["Confidence", "n"]]);
    const named = ([fragments, label]) => {
      if (fragments.length) return [...fragmentsOf({ fragments }, piece), ` (${label})`];
      const words = view.mentions.filter((m) => (m.concept || "").split("|").includes(label)).map((m) => m.fragments.map(piece).join(" … "));
      const names = [...new Map(words.map((w) => [nameOf(w), w])).values()];
      return [names.join(", "), ...(names.some((name) => nameOf(name) === label) ? [] : [` (${label})`])];
    };
    view.related = relations.map((relation) => {
      const row = make("tr"), head = make("th"), to = make("td", "", "words"), button = make("button", "", "mention");
      head.scope = "row";
      button.type = "button";
      button.append(...named(relation.source));
      head.append(button);
      to.append(...named(relation.target));
      row.append(head, make("td", relation.label), to, make("td", probability(relation.confidence), "n"));
      row.addEventListener("mouseenter", () => mark(relation.ends ? relation.ends.all : [], relation));
      row.addEventListener("mouseleave", () => mark([]));
      button.addEventListener("focus", () => mark(relation.ends ? relation.ends.all : [], relation));
      button.addEventListener("blur", () => mark([]));
      button.addEventListener("click", () => { if (relation.ends) { bring(relation.ends.source); mark(relation.ends.all, relation); } });
      return row;
    });
    $("relations").querySelector("tbody").replaceChildren(...view.related);
    $("status").textContent += ` ${plural(relations.length, "relation")}.`;
  }

  // ---- drawing: areas and bars below the words, arcs above the lines ------------------------------------------------------
  // The lowest free lane for each interval, in the order given; `clash` says whether two may not share one.
  function lanes(items, clash) {
    const taken = [];
    for (const item of items) {
      let lane = 0;
      while ((taken[lane] || []).some((other) => clash(item, other))) lane += 1;
      (taken[lane] = taken[lane] || []).push(item);
      item.lane = lane;
    }
    return taken.length;
  }

  // While all lines are equally high: the fragments of all mentions, with one box for each line that they touch, and where in
  // the text each line starts, by the words that begin on it.
  function measure(node, height) {
    const frame = $("shown").getBoundingClientRect(), range = document.createRange();
    const boxes = (start, end) => {
      range.setStart(node, start);
      range.setEnd(node, end);
      return [...range.getClientRects()].filter((r) => r.width > 0.5).map((r) => (
        { left: r.left - frame.left, right: r.right - frame.left, line: Math.max(0, Math.floor(((r.top + r.bottom) / 2 - frame.top) / height)) }
      ));
    };
    const fragments = view.mentions.flatMap((mention) => mention.fragments.map(
      ([start, end]) => ({ mention, start, end, boxes: boxes(view.at[start], view.at[end]) }),
    ));
    const starts = new Map();
    const begin = (box, place) => { if (box && !starts.has(box.line)) starts.set(box.line, place); };
    for (const word of view.text.matchAll(/\S+/gu)) {
      const there = boxes(word.index, word.index + word[0].length);
      begin(there[0], word.index);
      if (there.length < 2) continue;
      let place = word.index; // a word that is broken over lines
      for (const character of word[0]) {
        begin(boxes(place, place + character.length)[0], place);
        place += character.length;
      }
    }
    return { fragments, starts };
  }

  // The pieces of every arc, one for each line that it passes, each with its lane above the line. An arc joins fragments of a
  // mention, or two mentions that are related; then its label is on the longest piece.
  function arcs(fragments, relations, width) {
    const all = [];
    const before = (a, b) => a.line - b.line || a.left - b.left;
    for (const relation of relations) {
      const [a, b] = [relation.ends.source, relation.ends.target].map((m) => fragments.filter((f) => f.mention === m).flatMap((f) => f.boxes)[0]);
      if (a && b) all.push({ relation, ...(before(a, b) <= 0 ? { from: a, to: b, head: "x2" } : { from: b, to: a, head: "x1" }) });
    }
    for (const mention of view.mentions) {
      const own = fragments.filter((f) => f.mention === mention && f.boxes.length);
      for (let i = 1; i < own.length; i += 1) {
        all.push({ mention, from: own[i - 1].boxes.at(-1), to: own[i].boxes[0] });
      }
    }
    // Arcs that end at one box get their own places on it, so that one of two lies within the other and they do not cross.
    const ends = new Map();
    for (const [index, arc] of all.entries()) {
      for (const [box, other, side] of [[arc.from, arc.to, "x1"], [arc.to, arc.from, "x2"]]) {
        const key = `${box.line}:${box.left.toFixed(1)}:${box.right.toFixed(1)}`;
        if (!ends.has(key)) ends.set(key, []);
        const far = other.line * 1e6 + other.left, left = far < box.line * 1e6 + box.left;
        ends.get(key).push({ arc, box, side, far, left, index: left ? index : -index });
      }
    }
    for (const there of ends.values()) {
      there.sort((a, b) => b.left - a.left || b.far - a.far || b.index - a.index);
      there.forEach((end, i) => { end.arc[end.side] = end.box.left + ((end.box.right - end.box.left) * (i + 1)) / (there.length + 1); });
    }
    const byLine = new Map();
    for (const arc of all) {
      const [first, last] = [arc.from.line, arc.to.line];
      for (let line = first; line <= last; line += 1) {
        const a = line === first ? arc.x1 : 0, b = line === last ? arc.x2 : width;
        const part = { arc, line, low: Math.min(a, b), high: Math.max(a, b), rises: line === first, falls: line === last };
        if (a > b) [part.rises, part.falls] = [part.falls, part.rises];
        if (!byLine.has(line)) byLine.set(line, []);
        byLine.get(line).push(part);
        if (arc.relation && !(arc.longest && arc.longest.high - arc.longest.low >= part.high - part.low)) arc.longest = part;
      }
      if (arc.longest) {
        const half = labelWidth(arc.relation.label) / 2 + 4, part = arc.longest;
        part.middle = Math.max(half, Math.min(width - half, (part.low + part.high) / 2));
        part.label = half;
      }
    }
    const reach = (p) => [Math.min(p.low, p.label ? p.middle - p.label : p.low), Math.max(p.high, p.label ? p.middle + p.label : p.high)];
    for (const parts of byLine.values()) {
      parts.sort((a, b) => a.high - a.low - (b.high - b.low) || a.low - b.low);
      lanes(parts, (a, b) => reach(a)[0] < reach(b)[1] + 5 && reach(b)[0] < reach(a)[1] + 5);
    }
    return [...byLine.values()].flat();
  }

  // Makes room on the lines that want it, {above, below} in pixels by line. One character of such a line is set in a box that is
  // as high as the line is to be; it is raised by half of what is wanted more above than below, and drawn that much lower, in
  // its place. Unlike an element of its own, this adds no place where a line could break.
  function space(room, starts, glyphs) {
    const parts = [], marks = new Map();
    let from = 0;
    for (const line of [...room.keys()].filter((l) => starts.has(l)).sort((a, b) => a - b)) {
      const { above, below } = room.get(line), start = starts.get(line), span = make("span");
      const end = start + String.fromCodePoint(view.text.codePointAt(start)).length;
      span.append(view.text.slice(start, end));
      span.style.lineHeight = `${glyphs + above + below}px`;
      span.style.position = "relative";
      span.style.verticalAlign = span.style.top = `${(above - below) / 2}px`;
      parts.push(view.text.slice(from, start), span);
      marks.set(line, span);
      from = end;
    }
    $("shown").replaceChildren(...parts, view.text.slice(from));
    return marks;
  }

  // What stands on an arc of a label, and its width in the font of the drawing.
  const brief = (label) => (label.length > 22 ? `${label.slice(0, 21)}…` : label);
  function labelWidth(label) {
    const context = document.createElement("canvas").getContext("2d");
    context.font = `600 11px ${getComputedStyle(document.body).fontFamily}`;
    return context.measureText(brief(label)).width;
  }

  function layOut() {
    if (!view || $("found").hidden) return;
    const shown = $("shown"), svg = $("under");
    view.width = shown.clientWidth;
    view.boxes = [];
    view.marks = view.mentions.map((mention) => draw("g", { class: mention.colour }));
    view.lines = view.relations.map(() => draw("g", { class: "relation" }));
    svg.replaceChildren(...view.marks, ...view.lines);
    shown.replaceChildren(view.text);
    if (!view.mentions.length) return;
    const size = parseFloat(getComputedStyle(shown).fontSize), glyphs = 2 * Math.round(size * 0.62), height = 2 * Math.round(size * 0.8);
    shown.style.lineHeight = `${height}px`;
    const { fragments, starts } = measure(shown.firstChild, height);
    lanes([...fragments].sort((a, b) => a.start - b.start || b.end - a.end), (a, b) => a.start < b.end && b.start < a.end);
    const relations = $("arcs").checked ? view.relations.filter((r) => r.ends) : [], step = relations.length ? TALL : STEP;
    const parts = arcs(fragments, relations, view.width), room = new Map();
    const want = (line, side, pixels) => {
      if (!room.has(line)) room.set(line, { above: 0, below: 0 });
      room.get(line)[side] = Math.max(room.get(line)[side], pixels);
    };
    for (const part of parts) want(part.line, "above", 2 * Math.ceil(((part.arc.relation ? 20 : 12) + part.lane * step) / 2));
    for (const { boxes, lane } of fragments) for (const box of boxes) want(box.line, "below", 2 * Math.ceil((FOOT + (lane + 1) * LANE + 1) / 2));
    const marks = space(room, starts, glyphs);
    const outer = $("drawing").getBoundingClientRect(), inner = shown.getBoundingClientRect();
    const dx = inner.left - outer.left - $("drawing").clientLeft, dy = outer.top + $("drawing").clientTop;
    const heads = new Map([...marks].map(([line, span]) => {
      const box = span.getBoundingClientRect();
      return [line, (box.top + box.bottom) / 2 - dy - glyphs / 2];
    }));
    for (const { mention, boxes, lane } of fragments) {
      for (const box of boxes.filter((b) => heads.has(b.line))) {
        const head = heads.get(box.line), foot = head + glyphs + FOOT + lane * LANE;
        const place = { x: dx + box.left, width: box.right - box.left };
        view.marks[mention.index].append(
          draw("rect", { ...place, class: lane ? "area deep" : "area", y: head, height: foot - head, rx: 2 }),
          draw("rect", { ...place, class: "bar", y: foot, height: LANE - 1.2 }),
        );
        view.boxes.push({ mention, left: place.x, right: place.x + place.width, top: head - 3, bottom: foot + LANE });
      }
    }
    for (const part of parts.filter((p) => heads.has(p.line))) {
      const relation = part.arc.relation, foot = heads.get(part.line) - 1, y = foot - (relation ? 12 : 9) - part.lane * step;
      const [low, high] = [dx + part.low, dx + part.high], r = Math.min(9, (high - low) / 2);
      let path = part.rises ? `M${low} ${foot}V${y + r}Q${low} ${y} ${low + r} ${y}` : `M${low} ${y}`;
      path += part.falls ? `H${high - r}Q${high} ${y} ${high} ${y + r}V${foot}` : `H${high}`;
      const group = relation ? view.lines[relation.index] : view.marks[part.arc.mention.index];
      group.append(draw("path", { class: "arc", d: path }));
      if (!relation) continue;
      const at = dx + part.arc[part.arc.head], ends = part.arc.head === "x2" ? part.line === part.arc.to.line : part.line === part.arc.from.line;
      if (about.directed && ends) group.append(draw("path", { class: "head", d: `M${at - 3.5} ${foot - 6}H${at + 3.5}L${at} ${foot + 1}Z` }));
      if (part.label) {
        const words = draw("text", { x: dx + part.middle, y: y + 3.5 });
        words.append(brief(relation.label));
        group.append(words);
      }
    }
  }

  // ---- pointing ---------------------------------------------------------------------------------------------------------
  // A mention that was chosen in the list stays marked until the focus leaves it.
  function mark(mentions, relation = null) {
    const on = new Set([...mentions, ...(view.chosen ? [view.chosen] : [])].map((m) => m.index));
    view.marks.forEach((group, i) => group.classList.toggle("on", on.has(i)));
    view.rows.forEach((row, i) => row.classList.toggle("on", on.has(i)));
    // Of one relation it alone is marked; of mentions, all relations that they are in.
    view.relations.forEach((other, i) => {
      const lit = relation ? other === relation : Boolean(other.ends) && other.ends.all.some((m) => on.has(m.index));
      view.lines[i].classList.toggle("on", lit);
      view.related[i].classList.toggle("on", lit);
    });
  }

  function hideTip() {
    $("tip").hidden = true;
    if (view) view.chosen = null;
  }

  function tip(mentions, x, y) {
    $("tip").replaceChildren(...mentions.map((mention) => {
      const words = make("p", "", mention.colour);
      words.append(make("b", mention.label));
      if (mention.concept) words.append(`, concept ${mention.concept}`);
      if (mention.confidence !== undefined) words.append(`, confidence ${probability(mention.confidence)}`);
      if (mention.slots) words.append(`; ${slotsOf(mention)}`);
      return words;
    }));
    $("tip").className = mentions.length === 1 ? mentions[0].colour : "";
    $("tip").hidden = false;
    const width = $("tip").offsetWidth;
    $("tip").style.left = `${Math.max(8, Math.min(x - width / 2, document.documentElement.clientWidth - width - 8)) + scrollX}px`;
    $("tip").style.top = `${y + scrollY + 10}px`;
  }

  // Scrolls to where a mention is drawn, and gives its first box.
  function bring(mention) {
    const box = view.boxes.find((b) => b.mention === mention);
    if (!box) return null;
    $("drawing").scrollIntoView({ block: "nearest" });
    const frame = $("drawing").getBoundingClientRect();
    if (frame.top + box.top < 0 || frame.top + box.bottom > innerHeight - 60) scrollBy(0, frame.top + box.top - innerHeight / 3);
    return box;
  }

  // Shows a mention that was chosen in the list.
  function point(mention) {
    const box = bring(mention);
    if (!box) return;
    const frame = $("drawing").getBoundingClientRect();
    view.chosen = mention;
    mark([]);
    tip([mention], frame.left + (box.left + box.right) / 2, frame.top + box.bottom);
  }

  function hover(event) {
    if (!view) return;
    const frame = $("drawing").getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    const there = view.boxes.filter((b) => b.left - 1 <= x && x <= b.right + 1 && b.top <= y && y <= b.bottom);
    const mentions = [...new Set(there.map((b) => b.mention))];
    if (mentions.length || !view.chosen) hideTip();
    mark(mentions);
    if (mentions.length) tip(mentions, event.clientX, frame.top + Math.max(...there.map((b) => b.bottom)));
  }

  // ---- wiring -----------------------------------------------------------------------------------------------------------
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  $("key").addEventListener("submit", (event) => { event.preventDefault(); token = $("token").value.trim(); start(); });
  $("text").addEventListener("input", () => { count(); if (about && about.given) follow(); });
  $("arcs").addEventListener("change", layOut);
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); predict(); }
  });
  $("clear").addEventListener("click", () => {
    view = null;
    $("text").value = marked = "";
    given = [];
    for (const id of ["given", "shown", "under", "legend", "bars"]) $(id).replaceChildren();
    for (const id of ["list", "relations"]) for (const part of $(id).children) part.replaceChildren();
    $("result").hidden = $("skip").hidden = true;
    hideTip();
    complain(null);
    count();
    $("text").focus();
  });
  $("drawing").addEventListener("mousemove", hover);
  $("drawing").addEventListener("click", hover);
  $("drawing").addEventListener("mouseleave", () => {
    if (!view || view.chosen) return;
    hideTip();
    mark([]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !view) return;
    hideTip();
    mark([]);
  });
  new ResizeObserver(() => { if (view && $("shown").clientWidth !== view.width) { hideTip(); layOut(); } }).observe($("shown"));
  start();
})();

"use strict";
// A text is asked about, and what is found is drawn into it and listed. Texts enter the page as text nodes alone.
(() => {
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 8, LANE = 4, STEP = 9, FOOT = 2;
  let about = null, token = "", busy = false, view = null;

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
    if (!text.trim()) {
      complain(new Error("There is no text yet."));
      $("text").focus();
      return;
    }
    busy = true;
    $("go").setAttribute("aria-disabled", "true");
    complain(null);
    $("status").textContent = "Reading …";
    try {
      const answer = await ask("predict", { texts: [text] });
      show(text, answer.predictions[0]);
    } catch (error) {
      complain(error);
    } finally {
      busy = false;
      $("go").removeAttribute("aria-disabled");
    }
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
    const labels = [...new Set(mentions.map((m) => m.label))].sort();
    for (const mention of mentions) mention.colour = `c${labels.indexOf(mention.label) % COLOURS}`;
    view = { text, at, mentions, marks: [], rows: [], boxes: [], width: 0, chosen: null };
    hideTip();
    $("result").hidden = $("skip").hidden = false;
    $("classes").hidden = !classes;
    $("found").hidden = classes;
    if (classes) showClasses(document_.judgements || []);
    else showMentions(mentions, labels, piece);
    showRelations(document_.relations || [], piece);
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

  function showMentions(mentions, labels, piece) {
    $("legend").replaceChildren(...labels.map((label) => {
      const these = mentions.filter((m) => m.label === label), item = make("li");
      item.append(swatch(these[0].colour), `${label} (${these.length.toLocaleString("en")})`);
      return item;
    }));
    $("legend").hidden = !labels.length;
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
    for (const id of ["list-title", "help"]) $(id).hidden = !mentions.length;
    $("list").parentElement.hidden = !mentions.length;
    const apart = mentions.filter((m) => m.fragments.length > 1).length;
    $("status").textContent = mentions.length
      ? `${plural(mentions.length, "mention")}${apart ? `, ${apart} in more than one fragment` : ""}.` : "No mentions are found.";
  }

  function showRelations(relations, piece) {
    $("related").hidden = !relations.length;
    if (!relations.length) return;
    columns($("relations"), [["From", ""], ["Relation", ""], ["To", ""], ["Confidence", "n"]]);
    $("relations").querySelector("tbody").replaceChildren(...relations.map((relation) => {
      const row = make("tr"), head = make("th"), to = make("td", "", "words");
      head.scope = "row";
      head.append(...fragmentsOf({ fragments: relation.source[0] }, piece), ` (${relation.source[1]})`);
      to.append(...fragmentsOf({ fragments: relation.target[0] }, piece), ` (${relation.target[1]})`);
      row.append(head, make("td", relation.label), to, make("td", probability(relation.confidence), "n"));
      return row;
    }));
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

  // The pieces of every arc, one for each line that it passes, each with its lane above the line.
  function arcs(fragments, width) {
    const all = [];
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
      }
    }
    for (const parts of byLine.values()) {
      parts.sort((a, b) => a.high - a.low - (b.high - b.low) || a.low - b.low);
      lanes(parts, (a, b) => a.low < b.high + 5 && b.low < a.high + 5);
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

  function layOut() {
    if (!view || $("found").hidden) return;
    const shown = $("shown"), svg = $("under");
    view.width = shown.clientWidth;
    view.boxes = [];
    view.marks = view.mentions.map((mention) => draw("g", { class: mention.colour }));
    svg.replaceChildren(...view.marks);
    shown.replaceChildren(view.text);
    if (!view.mentions.length) return;
    const size = parseFloat(getComputedStyle(shown).fontSize), glyphs = 2 * Math.round(size * 0.62), height = 2 * Math.round(size * 0.8);
    shown.style.lineHeight = `${height}px`;
    const { fragments, starts } = measure(shown.firstChild, height);
    lanes([...fragments].sort((a, b) => a.start - b.start || b.end - a.end), (a, b) => a.start < b.end && b.start < a.end);
    const parts = arcs(fragments, view.width), room = new Map();
    const want = (line, side, pixels) => {
      if (!room.has(line)) room.set(line, { above: 0, below: 0 });
      room.get(line)[side] = Math.max(room.get(line)[side], pixels);
    };
    for (const part of parts) want(part.line, "above", 2 * Math.ceil((12 + part.lane * STEP) / 2));
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
      const foot = heads.get(part.line) - 1, y = foot - 9 - part.lane * STEP;
      const [low, high] = [dx + part.low, dx + part.high], r = Math.min(9, (high - low) / 2);
      let path = part.rises ? `M${low} ${foot}V${y + r}Q${low} ${y} ${low + r} ${y}` : `M${low} ${y}`;
      path += part.falls ? `H${high - r}Q${high} ${y} ${high} ${y + r}V${foot}` : `H${high}`;
      view.marks[part.arc.mention.index].append(draw("path", { class: "arc", d: path }));
    }
  }

  // ---- pointing ---------------------------------------------------------------------------------------------------------
  // A mention that was chosen in the list stays marked until the focus leaves it.
  function mark(mentions) {
    const on = new Set([...mentions, ...(view.chosen ? [view.chosen] : [])].map((m) => m.index));
    view.marks.forEach((group, i) => group.classList.toggle("on", on.has(i)));
    view.rows.forEach((row, i) => row.classList.toggle("on", on.has(i)));
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

  // Shows a mention that was chosen in the list.
  function point(mention) {
    const box = view.boxes.find((b) => b.mention === mention);
    if (!box) return;
    $("drawing").scrollIntoView({ block: "nearest" });
    let frame = $("drawing").getBoundingClientRect();
    if (frame.top + box.top < 0 || frame.top + box.bottom > innerHeight - 60) scrollBy(0, frame.top + box.top - innerHeight / 3);
    frame = $("drawing").getBoundingClientRect();
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
  $("text").addEventListener("input", count);
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); predict(); }
  });
  $("clear").addEventListener("click", () => {
    view = null;
    $("text").value = "";
    for (const id of ["shown", "under", "legend", "bars"]) $(id).replaceChildren();
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

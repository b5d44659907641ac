"use strict";
// The page: one state, files that are loaded once, and functions that draw. No libraries, no requests to other origins.
(() => {
  const WORDS = {
    en: {
      system: "Bike-share system", skip: "Skip to the table", theme: "Switch between light and dark", map: "Map", before: "Previous day", after: "Next day",
      day: "Day", speed: "Speed", now: "Now", minute: "Time of day", plan: "Plan ahead", need: "I need", bike: "a bike",
      dock: "a dock", at: "at", on: "on", showOdds: "Show the odds on the map", stations: "Stations", search: "Search",
      csv: "Download CSV", sql: "Copy as SQL", name: "Name", area: "Area", bikes: "Bikes", docks: "Docks", state: "State",
      pick: "Pick a station on the map or in the table", play: "Play", pause: "Pause", empty: "empty", full: "full",
      off: "out of service or not reporting", fewBikes: "few bikes", manyBikes: "many bikes", capacity: "circle area = capacity",
      bikesNow: "bikes available", emptyNow: "stations empty", fullNow: "stations full", offNow: "not reporting",
      odds: "Odds", seldom: "seldom", always: "always", its: "Bikes through the day", week: "A usual week, share of minutes with a bike",
      near: "Nearest stations", noWeek: "There is no data of past weeks for this time.", copied: "Copied", noData: "no data",
      mapHelp: "Arrow keys move to the next station in that direction, Enter opens it.", minAgo: "min ago", hAgo: "h ago", dAgo: "days ago",
      lastData: "Newest data", live: "live", stale: "The database does not respond. This is the last known state.",
      oldData: "This data is out of date: the newest response is from", none: "There is no data for this day.",
      ofDay: "of the day's minutes so far have data", missingRuns: "missing", same: "the API responds, but no station has changed for",
      moreBikes: "bikes", freeDocks: "free docks", days: "days", share: "of the day so far", raw: "Raw response",
      chanceBike: "of finding a bike", chanceDock: "of finding a free dock", rebuilt: "The last nightly rebuild agreed with its sources",
      worstEmpty: "Empty for most of the day", worstFull: "Full for most of the day", zoomIn: "Zoom in", zoomOut: "Zoom out",
      disagreed: "The last nightly rebuild did not agree with its sources", quarantined: "records quarantined in the last 7 days",
      outOfService: "out of service", silent: "silent for an hour", seen: "over", around: "within 5 minutes of", close: "Close", empties: "empty", fulls: "full", failed: "The data could not be loaded.",
    },
    fr: {
      system: "Réseau de vélos", skip: "Aller au tableau", theme: "Clair ou sombre", map: "Carte", before: "Jour précédent", after: "Jour suivant", day: "Jour",
      speed: "Vitesse", now: "Maintenant", minute: "Heure", plan: "Prévoir", need: "Il me faut", bike: "un vélo", dock: "une place",
      at: "à", on: "le", showOdds: "Montrer les chances sur la carte", stations: "Stations", search: "Chercher", csv: "Télécharger en CSV",
      sql: "Copier en SQL", name: "Nom", area: "Commune", bikes: "Vélos", docks: "Places", state: "État",
      pick: "Choisissez une station sur la carte ou dans le tableau", play: "Lire", pause: "Pause", empty: "vide", full: "pleine",
      off: "hors service ou muette", fewBikes: "peu de vélos", manyBikes: "beaucoup de vélos", capacity: "surface = capacité",
      bikesNow: "vélos disponibles", emptyNow: "stations vides", fullNow: "stations pleines", offNow: "sans données", odds: "Chances",
      seldom: "rarement", always: "toujours", its: "Les vélos au fil du jour", week: "Une semaine habituelle, part des minutes avec un vélo",
      near: "Stations les plus proches", noWeek: "Aucune semaine passée n’est connue pour ce moment.", copied: "Copié", noData: "pas de données",
      mapHelp: "Les flèches mènent à la station suivante dans cette direction, Entrée l’ouvre.", minAgo: "min", hAgo: "h", dAgo: "jours",
      lastData: "Dernières données", live: "en direct", stale: "La base de données ne répond pas. Voici le dernier état connu.",
      oldData: "Ces données sont anciennes : la dernière réponse date du", none: "Aucune donnée n’est connue pour ce jour.",
      ofDay: "des minutes écoulées ont des données", missingRuns: "manquantes", same: "l’API répond, mais aucune station n’a changé depuis",
      moreBikes: "vélos", freeDocks: "places libres", days: "jours", share: "du jour écoulé", raw: "Réponse brute",
      chanceBike: "de trouver un vélo", chanceDock: "de trouver une place", rebuilt: "La dernière reconstruction nocturne concorde avec ses sources",
      worstEmpty: "Vides le plus longtemps ce jour", worstFull: "Pleines le plus longtemps ce jour", zoomIn: "Agrandir", zoomOut: "Réduire",
      disagreed: "La dernière reconstruction nocturne ne concorde pas avec ses sources", quarantined: "enregistrements écartés en 7 jours",
      outOfService: "hors service", silent: "muette depuis une heure", seen: "sur", around: "à 5 minutes près de", close: "Fermer", empties: "vide", fulls: "pleine", failed: "Les données ne peuvent être lues.",
    },
  };
  const UNKNOWN = 255, HOURS = 168, NS = "http://www.w3.org/2000/svg", SAME_MINUTES = 15, OLD_MINUTES = 10, PAST_WEEKS = 4, AROUND = 5, SILENT_MS = 36e5;
  const $ = (id) => document.getElementById(id);
  const t = (key) => WORDS[state.lang][key] || key;
  const state = { lang: "en", day: null, minute: 0, station: null, live: true, playing: false, odds: false, theme: null };
  // The files of a GBFS system by its ID, or of the environment's feed (""). stale: served from the cache because BigQuery did not respond.
  const emptyData = (system) => ({ system, path: system && `systems/${encodeURIComponent(system)}/`, info: null, now: null, days: new Map(), week: null, past: new Map(), status: null, stale: new Set(), failed: "" });
  // Replaced as a whole for another system, so that a file which arrives late is never drawn as that system's.
  let data = emptyData(""), systems = new Map();
  let stations = [], byId = new Map(), day = null, shown = [];

  // --- files -------------------------------------------------------------------------------------

  const embedded = $("embedded") ? JSON.parse($("embedded").textContent) : null;

  async function load(file, own = data) {
    const name = own.path + file;
    if (!embedded) {
      const response = await fetch("data/" + name, { headers: { Accept: "*/*" } });
      if (!response.ok) throw new Error([name + ": " + response.status, (await response.json().catch(() => ({}))).detail].filter(Boolean).join(", "));
      own.stale[response.headers.has("Warning") ? "add" : "delete"](file);
      return response.arrayBuffer();
    }
    if (!embedded[name]) throw new Error(name + ": not in this copy");
    const bytes = Uint8Array.from(atob(embedded[name]), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }
  const loadJson = async (name, own) => JSON.parse(new TextDecoder().decode(await load(name, own)));

  function unpack(buffer) {
    const length = new DataView(buffer).getUint32(4, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    return [header, new Uint8Array(buffer, 8 + length)];
  }

  async function loadDay(name) {
    const own = data;
    if (own.days.has(name) && name !== today()) return own.days.get(name);
    const found = await readDay(name);
    if (own !== data) return null;
    addNow(found);
    if (own.system) carry(found);
    measure(found);
    own.days.set(name, found);
    return found;
  }
  async function readDay(name) {
    const [header, bytes] = unpack(await load(name + ".bin"));
    const size = header.stations.length * header.minutes;
    return { name, start: header.start, minutes: header.minutes, index: new Map(header.stations.map((id, n) => [id, n])),
      bikes: bytes.subarray(0, size), docks: bytes.subarray(size), ranked: {}, source: null };
  }
  // A system is requested as often as its ttl says. The values of a response hold until the next one, if that comes after the day's usual interval.
  function carry(found) {
    const { minutes, bikes, docks } = found, rows = [...found.index.values()], counts = new Map();
    const present = [...Array(minutes).keys()].filter((m) => rows.some((row) => bikes[row * minutes + m] !== UNKNOWN));
    present.forEach((m, n) => { const gap = m - present[n - 1]; if (n) counts.set(gap, (counts.get(gap) || 0) + 1); });
    const usual = [...counts].reduce((best, each) => (each[1] > best[1] ? each : best), [1, 0])[0];
    found.source = new Int16Array(minutes).map((_, m) => m);
    present.forEach((from, n) => {
      for (let m = from + 1; m < present[n + 1] && present[n + 1] - from <= usual; m++) {
        found.source[m] = from;
        for (const row of rows) { const at = row * minutes; bikes[at + m] = bikes[at + from]; docks[at + m] = docks[at + from]; }
      }
    });
  }

  // The same weekday of the past weeks, for the odds: loaded once, on demand.
  function pastDays(weekday) {
    if (!data.past.has(weekday)) {
      const found = { ready: false, days: [] };
      const own = data;
      own.past.set(weekday, found);
      const back = (new Date(today() + "T12:00:00Z").getUTCDay() + 6 - weekday + 7) % 7 || 7;
      const names = Array.from({ length: PAST_WEEKS }, (_, n) => shift(today(), -back - 7 * n)).filter(isKnown);
      const read = async (name) => own.days.get(name) || readDay(name).catch(() => null);
      Promise.all(names.map(read)).then((days) => { found.days = days.filter(Boolean); found.ready = true; if (own === data) draw(); });
    }
    return data.past.get(weekday);
  }
  const isKnown = (name) => (embedded ? data.path + name + ".bin" in embedded : data.info.days.some(([utc]) => utc === name || utc === shift(name, -1)));

  // The day's file may not contain the minute of the newest response yet.
  function addNow(found) {
    if (!data.now || !data.now.collected_at) return;
    const minute = Math.round((Date.parse(data.now.collected_at) / 1000 - found.start) / 60);
    if (minute < 0 || minute >= found.minutes) return;
    for (const [id, [bikes, docks]] of Object.entries(data.now.stations)) {
      const at = found.index.get(id);
      if (at === undefined) continue;
      found.bikes[at * found.minutes + minute] = bikes === null ? UNKNOWN : Math.min(254, bikes);
      found.docks[at * found.minutes + minute] = docks === null ? UNKNOWN : Math.min(254, docks);
    }
  }

  // For each minute: the bikes of all stations (-1: missing) and whether any station changed since the previous minute.
  function measure(found) {
    const { minutes, bikes, docks } = found, count = found.index.size;
    found.total = new Int32Array(minutes).fill(-1);
    found.changed = new Uint8Array(minutes);
    let before = -1;
    for (let m = 0; m < minutes; m++) {
      let sum = 0, seen = false, changed = before < 0;
      for (let s = 0; s < count; s++) {
        const at = s * minutes + m, value = bikes[at];
        if (value === UNKNOWN) continue;
        seen = true; sum += value;
        if (!changed && (value !== bikes[s * minutes + before] || docks[at] !== docks[s * minutes + before])) changed = true;
      }
      if (seen) { found.total[m] = sum; found.changed[m] = changed ? 1 : 0; before = m; }
    }
    found.last = before;
    found.first = found.total.findIndex((each) => each >= 0);
  }

  // --- time --------------------------------------------------------------------------------------

  // Creating a formatter takes longer than drawing a frame: each is created once.
  let formatters = {};
  const formatter = (locale, options) => (formatters[locale] ||= new Intl.DateTimeFormat(locale, { timeZone: data.info.time_zone, ...options }));
  const dayOf = (ms) => formatter("sv-SE", { dateStyle: "short" }).format(ms);
  const clockOf = (ms) => formatter("en-GB", { hour: "2-digit", minute: "2-digit" }).format(ms);
  const today = () => (data.now && data.now.collected_at ? dayOf(Date.parse(data.now.collected_at)) : dayOf(Date.now()));
  const msAt = (minute) => (day.start + minute * 60) * 1000;
  const shift = (name, by) => new Date(Date.parse(name + "T12:00:00Z") + by * 864e5).toISOString().slice(0, 10);

  // --- the values of a station -------------------------------------------------------------------

  function valuesAt(station, minute) {
    const at = day ? day.index.get(station.id) : undefined;
    if (at === undefined) return [UNKNOWN, UNKNOWN];
    return [day.bikes[at * day.minutes + minute], day.docks[at * day.minutes + minute]];
  }
  function classOf(station, bikes, docks, now) {
    if (bikes === UNKNOWN || docks === UNKNOWN || (now && station.off) || bikes + docks === 0) return "x";
    if (bikes === 0) return "e";
    if (docks === 0) return "f";
    return String(Math.min(4, Math.floor((5 * bikes) / (bikes + docks))));
  }
  const isNow = () => state.live && day && day.name === today() && state.minute === day.last;

  function hourOfWeek() {
    return +$("weekday").value * 24 + +$("at").value.slice(0, 2);
  }
  // How often a bike (or a dock) was available around a time on the same weekday of past weeks: percentage, days, and
  // whether minutes are known. Without those days, for the hour. Null if nothing is known.
  function oddsAt(station, need) {
    const past = pastDays(+$("weekday").value), [hours, minutes] = $("at").value.split(":").map(Number);
    let there = 0, seen = 0, days = 0;
    for (const each of past.days) {
      const row = each.index.get(station.id);
      if (row === undefined) continue;
      // On a day with a clock change, times after the change are an hour earlier or later in the file.
      const at = hours * 60 + minutes + (hours >= 3 ? each.minutes - 1440 : 0), plane = need === "bike" ? each.bikes : each.docks;
      let known = 0;
      for (let m = Math.max(0, at - AROUND); m <= Math.min(each.minutes - 1, at + AROUND); m++) {
        const value = plane[row * each.minutes + m];
        if (value === UNKNOWN) continue;
        known++; there += value > 0;
      }
      seen += known; days += known > 0;
    }
    if (seen) return [Math.round((100 * there) / seen), days, true];
    const hour = past.ready ? oddsOf(station, hourOfWeek(), need) : null;
    return hour && [...hour, false];
  }
  // Share of minutes with a bike (or a dock) at a station in an hour of the week; null if unknown.
  function oddsOf(station, hour, need) {
    if (!data.week) return null;
    const at = data.week.index.get(station.id);
    if (at === undefined) return null;
    const [empty, full, days] = ["empty", "full", "days"].map((plane) => data.week[plane][at * HOURS + hour]);
    const missing = need === "bike" ? empty : full;
    return missing === UNKNOWN || days === UNKNOWN ? null : [100 - missing, days];
  }

  // --- drawing -----------------------------------------------------------------------------------

  function make(name, attributes, parent) {
    const element = document.createElementNS(NS, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (parent) parent.append(element);
    return element;
  }
  function tag(name, text, parent, attributes = {}) {
    const element = document.createElement(name);
    if (text !== null) element.textContent = text;
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (parent) parent.append(element);
    return element;
  }

  // Unchanged text is not laid out again.
  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }
  const numbers = {};
  const format = (n) => (numbers[state.lang] ||= new Intl.NumberFormat(state.lang)).format(n);

  let project;
  function drawMap() {
    const map = $("map"), placed = stations.filter((s) => s.lat !== null);
    map.replaceChildren();
    if (!placed.length) return;
    const points = [...placed.map((s) => [s.lon, s.lat]), ...data.info.outlines.flatMap(([, rings]) => rings.flat())];
    const scale = Math.cos((placed.reduce((sum, s) => sum + s.lat, 0) / placed.length) * Math.PI / 180);
    const xs = points.map(([x]) => x * scale), ys = points.map(([, y]) => -y);
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const wide = Math.max(...xs) - left || 0.01, high = Math.max(...ys) - top || 0.01;
    const box = map.getBoundingClientRect(), below = getComputedStyle($("legend")).position === "absolute" ? $("legend").offsetHeight + 14 : 0;
    const fit = Math.min((box.width - 32) / wide, (box.height - 32 - below) / high), zoom = fit * view.zoom;
    const [dx, dy] = [box.width / 2 - zoom * wide * view.x, (box.height - below) / 2 - zoom * high * view.y];
    Object.assign(view, { wide: zoom * wide, high: zoom * high });
    project = (lon, lat) => [dx + (lon * scale - left) * zoom, dy + (-lat - top) * zoom];
    map.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    const spots = placed.map((s) => [...project(s.lon, s.lat), s.folded]);
    const land = make("g", {}, map), labels = make("g", { "aria-hidden": "true" }, map);
    for (const [area, rings] of data.info.outlines) {
      const path = rings.map((ring) => "M" + ring.map(([lon, lat]) => project(lon, lat).map((n) => n.toFixed(1)).join(" ")).join("L") + "Z");
      make("path", { class: "land", d: path.join("") }, land);
      const spot = area && rings.length ? labelSpot(rings[0].map(([lon, lat]) => project(lon, lat)), spots, area.length * 6.6, fold(area)) : null;
      if (spot) make("text", { class: "label", x: spot[0].toFixed(0), y: spot[1].toFixed(0) }, labels).textContent = area;
    }
    const size = Math.max(0.55, Math.min(1.25, Math.sqrt(box.width * box.height) / 720)) * Math.min(1, Math.sqrt(300 / placed.length)) * Math.sqrt(view.zoom);
    for (const station of [...placed].sort((a, b) => b.capacity - a.capacity)) {
      const [x, y] = project(station.lon, station.lat), r = size * 1.42 * Math.sqrt(station.capacity || 12), k = r * 0.82;
      const group = make("g", { class: "s", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "data-id": station.id }, map);
      make("circle", { r: r.toFixed(1) }, group);
      make("rect", { x: -k, y: -k, width: 2 * k, height: 2 * k, rx: 1 }, group);
      make("path", { d: `M${-k * 0.7} ${-k * 0.7}L${k * 0.7} ${k * 0.7}M${k * 0.7} ${-k * 0.7}L${-k * 0.7} ${k * 0.7}` }, group);
      Object.assign(station, { group, x, y, drawn: null });
    }
    mark();
    drawMinute();
  }
  // A position for a label inside a ring: near its stations, without covering them. Null if there is none.
  function labelSpot(ring, spots, width, area) {
    const own = spots.filter(([, , folded]) => folded === area), middle = [0, 1].map((axis) => own.reduce((sum, each) => sum + each[axis], 0) / (own.length || 1));
    const xs = ring.map(([x]) => x), ys = ring.map(([, y]) => y), inside = (x, y) => ring.reduce((odd, [x1, y1], n) => {
      const [x2, y2] = ring[(n + 1) % ring.length];
      return (y1 > y) !== (y2 > y) && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1) ? !odd : odd;
    }, false);
    let best = null, least = Infinity;
    for (let i = 1; i < 14; i++)
      for (let j = 1; j < 14; j++) {
        const x = Math.min(...xs) + ((Math.max(...xs) - Math.min(...xs)) * i) / 14, y = Math.min(...ys) + ((Math.max(...ys) - Math.min(...ys)) * j) / 14;
        if (![-0.5, 0, 0.5].every((side) => inside(x + side * width, y))) continue;
        let room = Infinity;
        for (const [sx, sy] of spots) room = Math.min(room, Math.hypot(Math.max(0, Math.abs(sx - x) - width / 2), sy - y + 3));
        const far = Math.hypot(x - middle[0], y - middle[1]);
        if (room > 13 && far < least) { least = far; best = [x, y]; }
      }
    return best;
  }
  const view = { zoom: 1, x: 0.5, y: 0.5, wide: 1, high: 1 };
  // Zoom by a factor around a point of the map (in pixels), or pan; the center stays on the map.
  function look(factor, px = 0, py = 0) {
    const zoom = Math.max(1, Math.min(8, view.zoom * factor)), share = 1 - view.zoom / zoom;
    view.x += (px / view.wide) * share; view.y += (py / view.high) * share; view.zoom = zoom;
    pan(0, 0);
  }
  function pan(dx, dy) {
    const reach = 0.5 / view.zoom;
    view.x = Math.max(Math.min(reach, 0.5), Math.min(Math.max(1 - reach, 0.5), view.x - dx / view.wide));
    view.y = Math.max(Math.min(reach, 0.5), Math.min(Math.max(1 - reach, 0.5), view.y - dy / view.high));
    cancelAnimationFrame(pan.frame);
    pan.frame = requestAnimationFrame(drawMap);
  }
  const fold = (name) => (name || "").normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/[^\p{L}\p{N}]+/gu, " ").trim().toUpperCase();

  function draw() {
    drawMinute();
    if (!day || state.playing) return;
    const time = clockOf(msAt(state.minute));
    $("minute").setAttribute("aria-valuetext", time + (day.total[state.minute] < 0 ? ", " + t("noData") : ""));
    drawTable(); drawStation(); drawHealth(); drawSource(); keep();
  }
  // What changes with each frame of a replay.
  function drawMinute() {
    if (!day) return;
    let bikesSum = 0, empty = 0, full = 0, off = 0;
    const need = $("need").value, now = isNow();
    for (const station of stations) {
      const [bikes, docks] = valuesAt(station, state.minute);
      let sign = classOf(station, bikes, docks, now);
      if (sign === "x") off++; else bikesSum += bikes;
      if (sign === "e") empty++;
      if (sign === "f") full++;
      if (state.odds) {
        const odds = oddsAt(station, need);
        sign = odds ? String(Math.min(4, Math.floor(odds[0] / 20))) : "x";
      }
      if (station.group && station.drawn !== sign) { station.group.dataset.s = sign; station.drawn = sign; }
    }
    const figures = $("figures");
    if (!figures.children.length)
      for (const key of ["bikesNow", "emptyNow", "fullNow", "offNow"]) { const box = tag("div", null, figures); tag("dt", t(key), box); tag("dd", "", box); }
    const missing = day.total[state.minute] < 0;
    [bikesSum, empty, full, off].forEach((n, i) => write(figures.children[i].lastChild, missing ? "–" : format(n)));
    write($("clock"), clockOf(msAt(state.minute)));
    $("minute").value = state.minute;
    $("here").style.transform = `translateX(${(100 * state.minute) / day.minutes}%)`;
  }

  function drawCurve() {
    const curve = $("curve"), strip = $("missing"), { minutes, total } = day;
    curve.replaceChildren(); strip.replaceChildren();
    curve.setAttribute("viewBox", `0 0 ${minutes} 100`); strip.setAttribute("viewBox", `0 0 ${minutes} 10`);
    const known = [...total].filter((n) => n >= 0), most = Math.max(...known, 1), least = Math.min(...known, most) * 0.9;
    let line = "", area = "", from = -1, before = -2;
    for (let m = 0; m <= minutes; m++) {
      if (m < minutes && total[m] >= 0) {
        if (from < 0) { from = m; area += `M${m} 100`; }
        const y = (96 - (88 * (total[m] - least)) / (most - least || 1)).toFixed(1);
        line += `${from === m ? "M" : "L"}${m} ${y}`; area += `L${m} ${y}`; before = m;
      } else if (from >= 0 && (m === minutes || m - before > 5)) { area += `L${before} 100Z`; from = -1; }
    }
    make("path", { class: "fill", d: area }, curve); make("path", { class: "edge", d: line }, curve);
    const end = day.name === today() ? day.last + 1 : minutes;
    for (const [a, b, kind] of runs(end)) make("rect", { class: kind, x: a, y: 0, width: b - a, height: 10 }, strip);
    if (isFirst() && day.first > 0) make("rect", { class: "ahead", x: 0, y: 0, width: day.first, height: 10 }, strip);
    if (end < minutes) make("rect", { class: "ahead", x: end, y: 0, width: minutes - end, height: 10 }, strip);
    $("hours").replaceChildren();
    for (let h = 0; h <= 24; h += 6) tag("span", h === 24 ? "24:00" : clockOf(msAt(Math.min(minutes - 1, h * 60 * minutes / 1440))), $("hours"));
    $("minute").max = minutes - 1;
  }

  // Ranges of minutes without data, and of minutes without any change.
  function runs(end) {
    const found = [];
    let from = isFirst() ? Math.max(0, day.first) : 0, kind = null;
    for (let m = from; m <= end; m++) {
      const now = m === end ? null : day.total[m] < 0 ? "gap" : day.changed[m] ? null : "same";
      if (now === kind) continue;
      if (kind === "gap" || (kind === "same" && m - from >= SAME_MINUTES)) found.push([from, m, kind]);
      from = m; kind = now;
    }
    return found;
  }

  // Whether this is the first day with data: its minutes before the first response are not missing.
  const isFirst = () => !data.info.days.some(([each]) => each < shift(day.name, -1) || (each < day.name && day.first > 180));

  function drawHealth() {
    const end = day.name === today() ? day.last + 1 : day.minutes, from = isFirst() ? Math.max(0, day.first) : 0;
    const gaps = runs(end).filter(([, , kind]) => kind === "gap");
    const missing = gaps.reduce((sum, [a, b]) => sum + b - a, 0), span = Math.max(1, end - from);
    const listed = gaps.slice(0, 6).map(([a, b]) => clockOf(msAt(a)) + (b - a > 1 ? "–" + clockOf(msAt(b - 1)) : "")).join(", ");
    const same = runs(end).filter(([, , kind]) => kind === "same").pop();
    let text = day.last < 0 ? t("none") : `${format(span - missing)} / ${format(span)} ${t("ofDay")}`;
    if (gaps.length && day.last >= 0) text += `; ${t("missingRuns")}: ${listed}${gaps.length > 6 ? " …" : ""}`;
    if (same && same[1] === end && day.name === today()) text += `. ${t("same")} ${same[1] - same[0]} min`;
    $("health").textContent = text + ".";
    $("missing").setAttribute("aria-label", text);
  }

  function drawAge() {
    const box = $("age"), at = data.now && data.now.collected_at ? Date.parse(data.now.collected_at) : null;
    if (!at) {
      if (data.system) box.textContent = t("noData");
      $("alert").textContent = data.failed; $("alert").hidden = !data.failed;
      return;
    }
    const minutes = Math.max(0, Math.floor((Date.now() - at) / 6e4));
    const ago = minutes < 120 ? `${minutes} ${t("minAgo")}` : minutes < 2880 ? `${Math.floor(minutes / 60)} ${t("hAgo")}` : `${Math.floor(minutes / 1440)} ${t("dAgo")}`;
    box.textContent = `${t("lastData")} ${dayOf(at)} ${clockOf(at)} · ${ago}`;
    box.classList.toggle("old", minutes > OLD_MINUTES);
    const alert = data.failed ? data.failed : data.stale.size ? t("stale") : minutes > 60 ? `${t("oldData")} ${dayOf(at)} ${clockOf(at)}.` : "";
    $("alert").textContent = alert; $("alert").hidden = !alert;
  }

  function drawLegend() {
    const legend = $("legend");
    legend.replaceChildren();
    const item = (sign, text) => {
      const span = tag("span", null, legend), svg = make("svg", { viewBox: "-9 -9 18 18", "aria-hidden": "true" }, span), g = make("g", { class: "s", "data-s": sign }, svg);
      make("circle", { r: 6 }, g); make("rect", { x: -5, y: -5, width: 10, height: 10, rx: 1 }, g); make("path", { d: "M-4 -4L4 4M4 -4L-4 4" }, g);
      span.append(text);
    };
    if (state.odds) { item("0", t("seldom")); item("1", ""); item("2", ""); item("3", ""); item("4", t("always")); item("x", t("noData")); return; }
    item("e", t("empty")); item("0", t("fewBikes")); item("1", ""); item("2", ""); item("3", ""); item("4", t("manyBikes")); item("f", t("full")); item("x", t("off"));
    tag("span", t("capacity"), legend);
  }

  function stateOf(station, bikes, docks) {
    if (isNow() && station.off) return t(station.off);
    if (bikes === UNKNOWN) return t("noData");
    if (bikes + docks === 0) return t("outOfService");
    return bikes === 0 ? t("empty") : docks === 0 ? t("full") : "";
  }

  let sortKey = "name", sortDown = false;
  function drawTable() {
    const wanted = fold($("search").value), need = $("need").value;
    shown = stations.map((station) => {
      const [bikes, docks] = valuesAt(station, state.minute);
      const chance = state.odds ? oddsAt(station, need) : null;
      return { station, name: station.name, area: station.area || "", bikes: bikes === UNKNOWN ? -1 : bikes, docks: docks === UNKNOWN ? -1 : docks,
        state: chance ? `${chance[0]} % (${chance[1]} ${t("days")})` : stateOf(station, bikes, docks), rank: chance ? chance[0] : null };
    }).filter((row) => fold(row.name + " " + row.area).includes(wanted));
    const by = (row) => (sortKey === "state" && row.rank !== null ? row.rank : row[sortKey]);
    const collator = new Intl.Collator(state.lang);
    shown.sort((a, b) => (typeof by(a) === "number" ? by(a) - by(b) : collator.compare(by(a), by(b))) * (sortDown ? -1 : 1));
    const body = $("table").tBodies[0], rows = document.createDocumentFragment();
    for (const row of shown) {
      const line = tag("tr", null, rows, { "data-id": row.station.id });
      if (row.station.id === state.station) line.className = "at";
      tag("button", row.name, tag("td", null, line), { type: "button" });
      tag("td", row.area, line);
      tag("td", row.bikes < 0 ? "–" : row.bikes, line, { class: "n" });
      tag("td", row.docks < 0 ? "–" : row.docks, line, { class: "n" });
      tag("td", row.state, line);
    }
    const focused = document.activeElement && body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.id : null;
    body.replaceChildren(rows);
    if (focused) body.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus();
  }

  // --- the station -------------------------------------------------------------------------------

  function drawStation() {
    const station = byId.get(state.station), box = $("station-body");
    box.replaceChildren();
    $("station-title").textContent = station ? station.name : t("pick");
    if (!station) return drawWorst(box);
    const [bikes, docks] = valuesAt(station, state.minute);
    tag("p", [station.area, clockOf(msAt(state.minute)), stateOf(station, bikes, docks)].filter(Boolean).join(" · "), box, { class: "soft" });
    const pair = tag("div", null, box, { class: "pair" });
    for (const [value, word] of [[bikes, "moreBikes"], [docks, "freeDocks"]]) {
      const each = tag("div", null, pair);
      tag("b", value === UNKNOWN ? "–" : value, each); tag("span", t(word), each);
    }
    drawOdds(station, box);
    tag("h3", t("its"), box);
    drawStationDay(station, box);
    if (data.week && data.week.index.has(station.id)) { tag("h3", t("week"), box); drawWeek(station, box); }
    tag("h3", t("near"), box);
    const list = tag("ul", null, box, { class: "near" });
    const others = stations.filter((other) => other !== station && other.lat !== null).map((other) => [distance(station, other), other]);
    for (const [metres, other] of others.sort((a, b) => a[0] - b[0]).slice(0, 3)) {
      const [b, d] = valuesAt(other, state.minute), button = tag("button", null, tag("li", null, list), { type: "button", "data-id": other.id });
      tag("span", other.name, button);
      tag("small", `${Math.round(metres / 10) * 10} m · ${b === UNKNOWN ? "–" : b} ${t("moreBikes")} · ${d === UNKNOWN ? "–" : d} ${t("freeDocks")}`, button);
    }
  }

  // The stations that were empty or full longest on this day.
  function drawWorst(box) {
    for (const [plane, word] of [["bikes", "worstEmpty"], ["docks", "worstFull"]]) {
      const ranked = (day.ranked[plane] ||= stations.map((each) => [shareAtZero(each, plane), each]).filter(([share]) => share >= 0.01).sort((a, b) => b[0] - a[0]).slice(0, 4));
      if (!ranked.length) continue;
      tag("h3", t(word), box);
      const list = tag("ul", null, box, { class: "near" });
      for (const [share, each] of ranked) {
        const button = tag("button", null, tag("li", null, list), { type: "button", "data-id": each.id });
        tag("span", each.name, button); tag("small", `${Math.round(100 * share)} %`, button);
      }
    }
  }
  function shareAtZero(station, plane) {
    const at = day.index.get(station.id);
    if (at === undefined) return 0;
    let seen = 0, zero = 0;
    for (let m = 0; m < day.minutes; m++) {
      const value = day[plane][at * day.minutes + m];
      if (value !== UNKNOWN && day.bikes[at * day.minutes + m] + day.docks[at * day.minutes + m] > 0) { seen++; zero += value === 0; }
    }
    return seen ? zero / seen : 0;
  }

  function drawOdds(station, box) {
    const need = $("need").value, odds = oddsAt(station, need), line = tag("p", null, box, { class: "odds" });
    if (!odds) { line.textContent = pastDays(+$("weekday").value).ready && data.week ? t("noWeek") : ""; line.className = "soft"; return; }
    tag("b", `${odds[0]} %`, line);
    const at = $("at").value, hour = at.slice(0, 2), time = odds[2] ? `${t("around")} ${at}` : `${hour}:00–${hour}:59`;
    line.append(` ${t(need === "bike" ? "chanceBike" : "chanceDock")}, ${$("weekday").selectedOptions[0].textContent} ${time}, ${t("seen")} ${odds[1]} ${t("days")}`);
  }

  function drawStationDay(station, box) {
    const at = day.index.get(station.id), { minutes } = day, wide = 340, high = 92;
    const svg = make("svg", { class: "chart", viewBox: `0 0 ${wide} ${high + 14}`, role: "img" }, box);
    if (at === undefined) { svg.remove(); tag("p", t("none"), box, { class: "soft" }); return; }
    const own = (plane, m) => plane[at * minutes + m];
    let most = station.capacity || 1, empty = 0, full = 0, seen = 0, bikesPath = "", allPath = "", open = false;
    for (let m = 0; m < minutes; m++) {
      const b = own(day.bikes, m), d = own(day.docks, m);
      if (b === UNKNOWN) continue;
      seen++; empty += b === 0; full += d === 0;
      if (d !== UNKNOWN) most = Math.max(most, b + d);
    }
    const x = (m) => ((m * wide) / minutes).toFixed(1), y = (n) => (high - (high * n) / most).toFixed(1);
    let last = 0;
    for (let m = 0; m < minutes; m++) {
      const b = own(day.bikes, m), d = own(day.docks, m);
      if (b === UNKNOWN || d === UNKNOWN) { if (open && m - last > 5) { bikesPath += `L${x(last)} ${high}Z`; allPath += `L${x(last)} ${high}Z`; open = false; } continue; }
      if (!open) { bikesPath += `M${x(m)} ${high}`; allPath += `M${x(m)} ${high}`; open = true; }
      bikesPath += `L${x(m)} ${y(b)}`; allPath += `L${x(m)} ${y(b + d)}`; last = m;
    }
    if (open) { bikesPath += `L${x(last)} ${high}Z`; allPath += `L${x(last)} ${high}Z`; }
    make("path", { class: "docks", d: allPath }, svg); make("path", { class: "bikes", d: bikesPath }, svg);
    make("line", { class: "here", x1: x(state.minute), x2: x(state.minute), y1: 0, y2: high }, svg);
    for (let h = 0; h < 24; h += 6) make("text", { x: x(h * 60), y: high + 11 }, svg).textContent = clockOf(msAt(h * 60));
    const share = (n) => `${seen ? Math.round((100 * n) / seen) : 0} %`;
    const text = `${t("empties")} ${share(empty)}, ${t("fulls")} ${share(full)} ${t("share")}`;
    svg.setAttribute("aria-label", `${t("its")}: ${text}`);
    tag("p", text, box, { class: "soft" });
  }

  function drawWeek(station, box) {
    const svg = make("svg", { class: "chart", viewBox: "0 0 340 118", role: "img", "aria-label": t("week") }, box);
    for (let d = 0; d < 7; d++) {
      make("text", { x: 0, y: 11 + d * 14 }, svg).textContent = weekdayName(d, "short");
      for (let h = 0; h < 24; h++) {
        const odds = oddsOf(station, d * 24 + h, "bike");
        const cell = make("rect", { class: odds ? "h" + Math.min(4, Math.floor(odds[0] / 20)) : "hx", x: 28 + h * 13, y: 1 + d * 14, width: 12, height: 13, rx: 2 }, svg);
        make("title", {}, cell).textContent = `${weekdayName(d, "long")} ${h}:00: ${odds ? odds[0] + " %" : t("noData")}`;
      }
    }
    for (let h = 0; h < 24; h += 6) make("text", { x: 28 + h * 13, y: 110 }, svg).textContent = h + ":00";
  }

  function distance(a, b) {
    const scale = Math.cos((a.lat * Math.PI) / 180);
    return Math.hypot((a.lon - b.lon) * scale, a.lat - b.lat) * 111320;
  }
  const weekdayName = (d, style) => new Intl.DateTimeFormat(state.lang, { weekday: style, timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + d));

  function drawSource() {
    const at = new Date(msAt(state.minute)).toISOString(), stamp = at.slice(0, 16).replace(/[-:]/g, "") + "00Z";
    const object = `feed=${data.info.feed}/date=${at.slice(0, 10)}/hour=${at.slice(11, 13)}/${stamp}.json.gz`;
    let text = data.system || day.total[state.minute] < 0 ? "" : `${t("raw")}: ${object}. `;
    if (data.status) {
      const records = data.status.quarantine.reduce((sum, each) => sum + each.records, 0), run = data.status.rebuilds[0];
      text += `${format(records)} ${t("quarantined")}${records ? " (" + [...new Set(data.status.quarantine.map((each) => each.reason))].join(", ") + ")" : ""}. `;
      if (run) text += `${run.agrees ? "✓ " + t("rebuilt") : "✗ " + t("disagreed")} (${run.first_day}).`;
    }
    $("source").textContent = text;
  }

  // --- state, stored in the URL fragment ---------------------------------------------------------

  function keep() {
    const parts = new URLSearchParams();
    if (data.system) parts.set("system", data.system);
    if (!state.live) { parts.set("day", day.name); parts.set("t", String(state.minute)); }
    if (state.station) parts.set("station", state.station);
    if (state.odds) parts.set("odds", [$("need").value, $("at").value, $("weekday").value].join(","));
    if (state.lang !== defaults.lang) parts.set("lang", state.lang);
    if (state.theme !== defaults.theme) parts.set("theme", state.theme);
    const hash = parts.toString().replace(/%2C/g, ",").replace(/%3A/g, ":");
    if (location.hash.slice(1) !== hash) history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  }
  const defaults = {
    lang: (navigator.language || "en").startsWith("fr") ? "fr" : "en",
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  };
  async function restore() {
    const parts = new URLSearchParams(location.hash.slice(1)), system = ($("system") && parts.get("system")) || "", isOther = !data.info || system !== data.system;
    state.lang = WORDS[parts.get("lang")] ? parts.get("lang") : defaults.lang;
    state.theme = ["light", "dark"].includes(parts.get("theme")) ? parts.get("theme") : defaults.theme;
    if (isOther && !(await open(system))) return;
    state.station = byId.has(parts.get("station")) ? parts.get("station") : null;
    const odds = (parts.get("odds") || "").split(",");
    state.odds = odds.length === 3 && /^\d\d:\d\d$/.test(odds[1]) && /^[0-6]$/.test(odds[2]);
    translate();
    if (state.odds) { $("need").value = odds[0] === "dock" ? "dock" : "bike"; $("at").value = odds[1]; $("weekday").value = odds[2]; }
    $("show-odds").setAttribute("aria-pressed", state.odds);
    const name = parts.get("day");
    state.live = !/^\d{4}-\d\d-\d\d$/.test(name || "");
    await show(state.live ? today() : name, state.live ? null : +parts.get("t") || 0);
    if (isOther && day) drawMap();
    if (state.odds || state.station) needWeek();
  }

  function translate() {
    document.documentElement.lang = state.lang;
    document.documentElement.dataset.theme = state.theme;
    for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
    for (const each of document.querySelectorAll("[data-tl]")) each.setAttribute("aria-label", t(each.dataset.tl));
    const other = state.lang === "en" ? "fr" : "en", kept = $("weekday").value;
    Object.assign($("language"), { textContent: other.toUpperCase(), lang: other, ariaLabel: other === "fr" ? "Français" : "English" });
    $("weekday").replaceChildren(...[...Array(7).keys()].map((d) => new Option(weekdayName(d, "long"), d)));
    $("weekday").value = kept || String((new Date().getDay() + 6) % 7);
    $("map").setAttribute("aria-label", t("map"));
    $("figures").replaceChildren();
    setPlaying(state.playing);
    drawLegend();
    if (data.info) drawAge();
  }

  async function show(name, minute) {
    const own = data;
    try {
      const found = await loadDay(name);
      if (own !== data) return;
      day = found;
    } catch (error) {
      if (own !== data) return;
      $("alert").textContent = `${t("failed")} (${error.message})`; $("alert").hidden = false;
      if (!day) return;
    }
    state.minute = Math.max(0, Math.min(day.minutes - 1, minute === null ? Math.max(0, day.last) : minute));
    $("day").value = day.name; $("day").max = today();
    $("after").disabled = day.name >= today();
    drawCurve();
    draw();
  }

  function select(id, focus) {
    state.station = id === state.station && !focus ? null : id;
    mark(); needWeek(); draw();
  }
  function mark() {
    for (const station of stations) station.group?.classList.toggle("at", station.id === state.station);
    const chosen = byId.get(state.station);
    if (chosen && chosen.group) $("map").append(chosen.group);
  }

  async function needWeek() {
    const own = data;
    if (own.week || own.weekAsked) return;
    own.weekAsked = true;
    try {
      const [header, bytes] = unpack(await load("week.bin")), size = header.stations.length * HOURS;
      own.week = { index: new Map(header.stations.map((id, n) => [id, n])) };
      header.planes.forEach((plane, n) => { own.week[plane] = bytes.subarray(n * size, (n + 1) * size); });
      if (own === data) draw();
    } catch { own.weekAsked = false; }
  }

  // --- playing -----------------------------------------------------------------------------------

  function setPlaying(playing) {
    state.playing = playing;
    document.documentElement.classList.toggle("playing", playing);
    $("play").setAttribute("aria-pressed", playing);
    $("play").firstElementChild.textContent = playing ? "❚❚" : "▶";
    $("play").lastElementChild.textContent = t(playing ? "pause" : "play");
  }
  function play() {
    setPlaying(!state.playing);
    if (!state.playing) return draw();
    leave();
    const end = day.last > 0 ? day.last : day.minutes - 1;
    let at = state.minute >= end ? Math.max(0, day.first) : state.minute, before = null;
    const frame = (time) => {
      if (!state.playing) return;
      at += before === null ? 0 : ((time - before) / 1000) * +$("speed").value;
      before = time;
      const minute = Math.min(end, Math.floor(at));
      if (minute >= end) setPlaying(false); else requestAnimationFrame(frame);
      if (minute === state.minute && state.playing) return;
      state.minute = minute;
      draw();
    };
    requestAnimationFrame(frame);
  }
  const leave = () => { state.live = false; };

  // --- export ------------------------------------------------------------------------------------

  // The time of the response whose values are shown.
  const tick = () => new Date(msAt(day.source ? day.source[state.minute] : state.minute)).toISOString().slice(0, 19) + "Z";
  function download() {
    const at = tick();
    // A spreadsheet would evaluate a name that begins like a formula.
    const quote = (text) => `"${String(text).replace(/^[=+\-@]/, "'$&").replace(/"/g, '""')}"`;
    const lines = shown.map((row) => [at, quote(row.station.id), quote(row.name), quote(row.area), row.bikes < 0 ? "" : row.bikes, row.docks < 0 ? "" : row.docks].join(","));
    const blob = new Blob([["collected_at,station_id,name,area,num_bikes_available,num_docks_available", ...lines].join("\n") + "\n"], { type: "text/csv" });
    const link = tag("a", null, null, { href: URL.createObjectURL(blob), download: `${data.info.feed.replace(/[^\p{L}\p{N}_-]+/gu, "_")}_${at.replace(/[-:]/g, "")}.csv` });
    link.click();
    URL.revokeObjectURL(link.href);
  }
  function asSql() {
    const at = tick(), quote = (text) => `'${text.replace(/[\\']/g, "\\$&")}'`, only = state.station ? `\n  AND station_id = ${quote(state.station)}` : "";
    const [view, where] = data.system ? ["gbfs_availability", `day = DATE '${at.slice(0, 10)}' AND feed = ${quote(data.system)} AND `] : ["availability", ""];
    return `SELECT station_id, name, area, num_bikes_available, num_docks_available\nFROM \`${data.info.views}.${view}\`\nWHERE ${where}collected_at = TIMESTAMP '${at}'${only}\nORDER BY name`;
  }
  async function copySql() {
    try { await navigator.clipboard.writeText(asSql()); $("said").textContent = t("copied"); }
    catch { prompt("SQL", asSql()); }
    setTimeout(() => { $("said").textContent = ""; }, 3000);
  }

  // --- events ------------------------------------------------------------------------------------

  function listen() {
    const on = (id, kind, act) => $(id).addEventListener(kind, act);
    on("play", "click", play);
    on("minute", "input", () => { setPlaying(false); leave(); state.minute = +$("minute").value; draw(); });
    on("now", "click", () => { setPlaying(false); state.live = true; show(today(), null); });
    on("day", "change", () => { if ($("day").value) { setPlaying(false); leave(); show($("day").value, state.minute); } });
    on("before", "click", () => { setPlaying(false); leave(); show(shift(day.name, -1), state.minute); });
    on("after", "click", () => { setPlaying(false); leave(); show(shift(day.name, 1), state.minute); });
    on("language", "click", () => { state.lang = state.lang === "en" ? "fr" : "en"; translate(); drawCurve(); draw(); });
    on("theme", "click", () => { state.theme = state.theme === "dark" ? "light" : "dark"; translate(); draw(); });
    on("plan", "input", () => { needWeek(); draw(); });
    on("plan", "submit", (event) => event.preventDefault());
    on("show-odds", "click", async () => {
      state.odds = !state.odds; $("show-odds").setAttribute("aria-pressed", state.odds);
      await needWeek(); drawLegend(); draw();
    });
    on("search", "input", () => {
      drawTable();
      const found = new Set(shown.map((row) => row.station.id));
      for (const station of stations) station.group?.classList.toggle("dim", !found.has(station.id));
    });
    on("csv", "click", download);
    on("sql", "click", copySql);
    on("table", "click", (event) => {
      const head = event.target.closest("th button"), row = event.target.closest("tbody tr");
      if (head) {
        sortDown = sortKey === head.dataset.key ? !sortDown : false; sortKey = head.dataset.key;
        for (const th of $("table").tHead.rows[0].cells) th.removeAttribute("aria-sort");
        head.parentElement.setAttribute("aria-sort", sortDown ? "descending" : "ascending");
        drawTable();
      } else if (row) select(row.dataset.id, true);
    });
    on("station-body", "click", (event) => { const near = event.target.closest("button[data-id]"); if (near) select(near.dataset.id, true); });
    const map = $("map"), tip = $("tip");
    on("zoom-in", "click", () => look(1.6));
    on("zoom-out", "click", () => look(1 / 1.6));
    map.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // let the page scroll
      event.preventDefault();
      const box = map.getBoundingClientRect();
      look(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
    }, { passive: false });
    let held = null, moved = false;
    map.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; moved = false; });
    addEventListener("pointerup", () => { held = null; });
    addEventListener("pointermove", (event) => {
      if (!held || view.zoom === 1) return;
      const [dx, dy] = [event.clientX - held[0], event.clientY - held[1]];
      if (Math.hypot(dx, dy) < 4 && !moved) return;
      moved = true; held = [event.clientX, event.clientY];
      pan(dx, dy);
    });
    map.addEventListener("click", (event) => { if (moved) return; const hit = event.target.closest(".s"); if (hit) select(hit.dataset.id); });
    map.addEventListener("pointermove", (event) => {
      const hit = event.target.closest(".s"), station = hit && byId.get(hit.dataset.id);
      tip.hidden = !station;
      if (station) showTip(station);
    });
    map.addEventListener("pointerleave", () => { tip.hidden = true; });
    map.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const from = byId.get(state.station) || stations.find((each) => each.group);
      if (!state.station) return select(from.id, true);
      let best = null, least = Infinity;
      for (const other of stations) {
        if (other === from || !other.group) continue;
        const dx = other.x - from.x, dy = other.y - from.y, along = dx * way[0] + dy * way[1], beside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
        if (along > 0 && along >= beside && along + 2 * beside < least) { least = along + 2 * beside; best = other; }
      }
      if (best) { select(best.id, true); showTip(best); tip.hidden = false; }
    });
    addEventListener("resize", () => { clearTimeout(listen.timer); listen.timer = setTimeout(drawMap, 120); });
    addEventListener("hashchange", restore);
    document.addEventListener("keydown", (event) => {
      if (event.target.closest("input, select, textarea, button, [tabindex]") && event.key !== "Escape") return;
      if (event.key === " ") { event.preventDefault(); play(); }
      if (event.key === "Escape" && state.station) select(state.station);
    });
  }
  function showTip(station) {
    const [bikes, docks] = valuesAt(station, state.minute), tip = $("tip");
    tip.textContent = bikes === UNKNOWN ? `${station.name}: ${t("noData")}` : `${station.name}: ${bikes} ${t("moreBikes")}, ${docks} ${t("freeDocks")}`;
    const half = tip.offsetWidth / 2 + 6, wide = $("map").clientWidth;
    tip.style.left = Math.max(half, Math.min(wide - half, station.x)) + "px"; tip.style.top = Math.max(34, station.y) + "px";
  }

  // --- the newest response -----------------------------------------------------------------------

  function takeNow(found) {
    data.now = found;
    for (const station of stations) {
      const values = found.stations[station.id], reported = values && values[3] ? Date.parse(values[3]) : Infinity;
      station.off = !values ? "noData" : values[2] === false ? "outOfService" : Date.parse(found.collected_at) - reported > SILENT_MS ? "silent" : "";
    }
    drawAge();
  }
  async function renew() {
    const own = data;
    try {
      const before = own.now.collected_at, found = await loadJson("now.json");
      if (own !== data) return;
      takeNow(found);
      if (state.live && data.now.collected_at !== before && !state.playing) {
        data.days.delete(today());
        await show(today(), null);
      }
    } catch { own.stale.add("now.json"); }
    drawAge();
  }

  // --- GBFS systems ------------------------------------------------------------------------------

  let opening = null;
  // Load a system, or the feed. False if that fails, or if another one was chosen meanwhile; what is shown stays.
  async function open(system) {
    const own = opening = emptyData(system);
    try {
      [own.info, own.now] = await Promise.all([loadJson("stations.json", own), loadJson("now.json", own)]);
    } catch (error) {
      if (opening !== own) return false;
      const isFirst = !data.info;
      if (isFirst && (!system || !(await open("")))) return fail(error);
      fail(error);
      return isFirst; // the feed is shown instead
    }
    if (opening !== own) return false;
    setPlaying(false);
    data = own; day = null; shown = []; formatters = {};
    Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
    stations = own.info.stations.map(([id, name, area, lat, lon, capacity]) => ({ id, name: name || id, area, folded: fold(area), lat, lon, capacity: capacity || 0 }));
    byId = new Map(stations.map((station) => [station.id, station]));
    $("search").value = "";
    takeNow(own.now);
    nameSystem();
    if (!system) loadJson("status.json", own).then((found) => { own.status = found; if (own === data && day) drawSource(); }, () => {});
    return true;
  }
  function fail(error) {
    data.failed = `${t("failed")} (${error.message})`;
    drawAge();
    if ($("system")) $("system").value = data.system;
    return false;
  }
  function nameSystem() {
    if (!$("system")) return;
    const about = systems.get(data.system), licence = $("licence");
    document.title = document.querySelector("h1").textContent = data.info.title;
    $("system").value = data.system;
    licence.replaceChildren();
    for (const [text, url] of about ? [[about.licence || about.licence_url, about.licence_url], [about.attribution, about.attribution_url]] : [[data.info.licence]]) {
      if (!text) continue;
      if (licence.childNodes.length) licence.append(" · ");
      // A system publishes any text as a URL.
      licence.append(/^https?:\/\//.test(url || "") ? tag("a", text, null, { href: url, rel: "noreferrer" }) : text);
    }
  }
  async function listSystems(feedTitle) {
    const found = (await loadJson("systems.json", emptyData(""))).systems, groups = new Map();
    systems = new Map(found.map((each) => [each.feed, each]));
    $("system").replaceChildren(new Option(feedTitle, ""));
    for (const each of found) {
      const country = each.country || "–";
      if (!groups.has(country)) groups.set(country, tag("optgroup", null, $("system"), { label: country }));
      groups.get(country).append(new Option(each.location ? `${each.name} (${each.location})` : each.name, each.feed));
    }
    nameSystem();
  }
  // With the keyboard, each step through the list is a change: only the system at which it stops is loaded.
  function choose() {
    clearTimeout(choose.timer);
    choose.timer = setTimeout(() => {
      const parts = new URLSearchParams(location.hash.slice(1));
      for (const key of ["system", "day", "t", "station", "odds"]) parts.delete(key);
      if ($("system").value) parts.set("system", $("system").value);
      location.hash = parts;
    }, 300);
  }

  // --- start -------------------------------------------------------------------------------------

  async function start() {
    const feedTitle = document.title;
    document.documentElement.classList.add("on");
    document.documentElement.dataset.theme = defaults.theme;
    await restore();
    if (!data.info) { document.documentElement.classList.remove("on"); return; }
    listen();
    if ($("system")) {
      $("system").addEventListener("change", choose);
      listSystems(feedTitle).catch(() => { $("system").parentElement.hidden = true; });
    }
    document.documentElement.dataset.ready = "yes";
    if (!embedded) setInterval(renew, 60000);
    setInterval(drawAge, 15000);
  }
  start();
})();

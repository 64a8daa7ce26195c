// Keeps the page as it would be after "load again": it hears the daemon's
// events, asks for the page and takes over its content. Nothing here makes
// markup of text. Without it everything works, and stays as it was loaded.
"use strict";
(() => {
  const SEC = 1000, MIN = 60 * SEC, HOUR = 60 * MIN, DAY = 24 * HOUR;
  const QUIET = 300;      // after an event, for those that come with it
  const APART = 2 * SEC;  // between two looks, however much happens
  const AFTER = 5 * SEC;  // an event, once more: the status may be written after the event
  const POLL = MIN;       // whatever is heard
  const html = document.documentElement;
  const main = document.getElementById("main");
  const news = document.getElementById("news");

  // Times are told by the clock of the machine that made the page.
  let made = Date.parse(main.dataset.at), loaded = Date.now();
  const now = () => made + (Date.now() - loaded);

  // The rule of vouch status: subscriber.Relative.
  const count = (n, unit) => n === 1 ? `1 ${unit}` : `${n} ${unit}s`;
  function span(d) {
    const within = unit => Math.round(d / unit);
    if (within(SEC) < 60) return `${within(SEC)} s`;
    if (within(MIN) < 60) return `${within(MIN)} min`;
    if (within(HOUR) < 48) return `${within(HOUR)} h`;
    if (within(DAY) < 60) return count(within(DAY), "day");
    if (within(30 * DAY) < 24) return count(within(30 * DAY), "month");
    return count(within(365 * DAY), "year");
  }
  function relative(d) {
    if (d > SEC) return "in " + span(d);
    if (d < -SEC) return span(-d) + " ago";
    return "now";
  }
  function tick() {
    for (const t of main.querySelectorAll("time[datetime]")) {
      const text = relative(Date.parse(t.dateTime) - now());
      if (t.textContent !== text) t.textContent = text;
    }
  }

  function say(text) {
    const live = document.getElementById("live");
    if (live.textContent !== text) live.textContent = text;
  }

  // Somebody who types, chooses or selects is not disturbed.
  function busy() {
    const changed = [...main.querySelectorAll("input, select")].some(e => e === document.activeElement ||
      (e.options ? !e.selectedOptions[0].defaultSelected && e.selectedIndex > 0 : e.value !== e.defaultValue));
    const chosen = getSelection();
    return changed || !chosen.isCollapsed && main.contains(chosen.anchorNode);
  }

  // What the keyboard is on, in words that find it again in the new content.
  function place(e) {
    if (!e || !main.contains(e) || e === main) return null;
    const href = e.getAttribute("href");
    const selector = e.id ? "#" + CSS.escape(e.id) : e.localName + (href === null ? "" : `[href="${CSS.escape(href)}"]`);
    return {selector, index: [...main.querySelectorAll(selector)].indexOf(e)};
  }
  function goTo(spot) {
    if (!spot) return;
    const found = main.querySelectorAll(spot.selector);
    (found[spot.index] || found[0] || main).focus({preventScroll: true});
  }

  function take(page) {
    const fresh = page.getElementById("main");
    const spot = place(document.activeElement), x = scrollX, y = scrollY;
    const open = [...main.querySelectorAll("details")].map(d => d.open);
    const folds = fresh.querySelectorAll("details");
    if (folds.length === open.length) folds.forEach((d, i) => { d.open = open[i]; });
    main.replaceChildren(...document.adoptNode(fresh).childNodes);
    made = Date.parse(fresh.dataset.at);
    loaded = Date.now();
    document.title = page.title;
    document.getElementById("asof").replaceWith(document.adoptNode(page.getElementById("asof")));
    if (main.dataset.summary !== fresh.dataset.summary) {
      main.dataset.summary = fresh.dataset.summary;
      news.textContent = fresh.dataset.summary;
    }
    goTo(spot);
    scrollTo(x, y);
    tick();
  }

  let source = null, timer = 0, after = 0, looking = false, due = false, looked = 0, lost = "";

  async function look() {
    timer = 0;
    if (document.hidden || looking || busy()) { due = true; return; }
    due = false;
    looking = true;
    looked = Date.now();
    try {
      const answer = await fetch(location.href, {cache: "no-store", signal: AbortSignal.timeout(30 * SEC)});
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.documentElement.dataset.assets !== html.dataset.assets) { location.reload(); return; }
      if (busy()) due = true; else take(page);
      lost = "";
    } catch (e) {
      lost ||= `no answer since ${new Date().toISOString().slice(11, 16)} UTC, trying on`;
    } finally {
      looking = false;
      heard();
    }
  }
  function soon() {
    if (!timer) timer = setTimeout(look, Math.max(QUIET, looked + APART - Date.now()));
  }
  function event() {
    soon();
    clearTimeout(after);
    after = setTimeout(soon, AFTER);
  }
  const heard = () => say(lost || (source.readyState === EventSource.OPEN ? "live" : "looks again each minute"));

  function listen() {
    if (source) source.close();
    source = new EventSource("/v1/events");
    source.onopen = () => { heard(); soon(); };
    source.onerror = heard;
    for (const type of html.dataset.events.split(" ")) source.addEventListener(type, event);
  }

  // A hidden page holds no connection: a browser has only a few for a server.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) { listen(); soon(); } else if (source) { source.close(); }
  });
  setInterval(() => { tick(); if (due && !timer) soon(); }, 5 * SEC);
  setInterval(() => {
    if (document.hidden) return;
    if (source.readyState === EventSource.CLOSED) listen();
    soon();
  }, POLL);
  tick();
  if (!document.hidden) listen();
})();

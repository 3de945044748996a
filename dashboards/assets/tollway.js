// What runs in the browser: the address is the only home of the filters, and following it needs no trip to the server.
// No amount is formatted here; a grid's text comes from the server beside the exact value.

(function () {
  "use strict";

  const none = () => window.dash_clientside.no_update;
  const same = (a, b) => JSON.stringify(a || []) === JSON.stringify(b || []);

  // Days as YYYY-MM-DD text throughout: a Date would bring in the reader's own time zone.
  const monthOf = (first) => {
    const last = new Date(Date.UTC(+first.slice(0, 4), +first.slice(5, 7), 0)).toISOString().slice(0, 10);
    return first.endsWith("-01") ? last : null;
  };

  function setPeriod(query, days) {
    query.delete("month"); query.delete("from"); query.delete("to");
    if (monthOf(days[0]) === days[1]) query.set("month", days[0].slice(0, 7));
    else { query.set("from", days[0]); query.set("to", days[1]); }
  }

  function setMany(query, name, values) {
    query.delete(name);
    (values || []).slice().sort().forEach((value) => query.append(name, value));
  }

  const many = (query, name) => query.getAll(name).sort();

  function searchOf(query) {
    const text = query.toString();
    return text ? "?" + text : "";
  }

  // A single callback owns both directions, told apart by what triggered it: the address wins on load and on "back".
  function follow(names, periodOf) {
    return function (search, period, ...rest) {
      const values = rest.slice(0, names.length);
      const wanted = rest[names.length];           // the period the server drew, as days
      const query = new URLSearchParams(search || "");
      const byAddress = window.dash_clientside.callback_context.triggered.every((t) => t.prop_id === "url.search" || t.prop_id === ".");
      if (byAddress) {
        const asked = periodOf.read(query, wanted);
        return [same(asked, period) ? none() : asked,
          ...names.map((name, n) => same(many(query, name), (values[n] || []).slice().sort()) ? none() : many(query, name))];
      }
      const nothing = [none(), ...names.map(none)];
      if (!periodOf.whole(period)) return nothing;
      periodOf.write(query, period);
      names.forEach((name, n) => setMany(query, name, values[n]));
      const next = searchOf(query);
      // Not an output: the address is on every page, these widgets are not, and Dash would look for them there.
      if (next !== (search || "")) window.dash_clientside.set_props("url", { search: next });
      return nothing;
    };
  }

  const range = {
    whole: (days) => Array.isArray(days) && days.length === 2 && days[0] && days[1],
    read: (query, wanted) => {
      const month = query.get("month"), first = query.get("from"), last = query.get("to");
      if (/^\d{4}-\d\d$/.test(month || "")) return [month + "-01", new Date(Date.UTC(+month.slice(0, 4), +month.slice(5, 7), 0)).toISOString().slice(0, 10)];
      if (first || last) return [first || last, last || first];
      return wanted;
    },
    write: setPeriod,
  };

  const month = {
    whole: (day) => /^\d{4}-\d\d-\d\d$/.test(day || ""),
    read: (query, wanted) => {
      if (/^\d{4}-\d\d$/.test(query.get("month") || "")) return query.get("month") + "-01";
      const last = query.get("to") || query.get("from");
      return last ? last.slice(0, 7) + "-01" : wanted;
    },
    write: (query, day) => { query.delete("from"); query.delete("to"); query.set("month", day.slice(0, 7)); },
  };

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    tollway: {
      followSpend: follow(["tenant", "alias", "provider"], range),
      followReconciliation: follow(["provider", "account"], month),

      // Links between pages carry the filters; the current page is marked.
      carry: function (path, search, pages) {
        const here = pages.find((page) => page.path === path);
        document.title = here ? here.title + " · Tollway" : "Tollway";
        return [...pages.map((page) => page.path + (search || "")), ...pages.map((page) => page.path === path)];
      },

      // The burger opens the navigation on a narrow screen; choosing a page closes it.
      burger: function (opened, path, navbar) {
        const byPath = window.dash_clientside.callback_context.triggered.some((t) => t.prop_id === "url.pathname");
        if (byPath) window.dash_clientside.set_props("burger", { opened: false });
        return Object.assign({}, navbar, { collapsed: { mobile: byPath || !opened } });
      },

      view: function (chosen) {
        return "chart-box " + chosen;
      },
    },
  });

  window.dashAgGridFunctions = Object.assign({}, window.dashAgGridFunctions, {
    tollwayCompareNumbers: (a, b) => (a === "" ? -Infinity : Number(a)) - (b === "" ? -Infinity : Number(b)) || 0,
    tollwayGridTheme: (base) => base.withParams({
      backgroundColor: "var(--surface)",
      foregroundColor: "var(--mantine-color-text)",
      headerBackgroundColor: "var(--surface)",
      headerTextColor: "var(--quiet)",
      headerFontWeight: 600,
      borderColor: "var(--line)",
      rowHoverColor: "var(--hover)",
      accentColor: "var(--mantine-color-blue-filled)",
      fontFamily: "inherit",
      fontSize: 13,
      spacing: 6,
      cellHorizontalPadding: 9,
      wrapperBorder: false,
      headerColumnResizeHandleColor: "var(--line)",
      oddRowBackgroundColor: "var(--surface)",
    }),
  });
})();

// What every admin page shares: links that change something are sent as POST, texts that can be copied, addresses.
(() => {
  "use strict";

  const cookie = (name) => document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.split("=")[1] ?? "";

  const csrfToken = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? cookie("csrftoken");

  /** Send the link's address as a POST, so that nothing changes by merely following a link. */
  const post = (link) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = link.href;
    form.hidden = true;
    const token = document.createElement("input");
    token.name = "csrfmiddlewaretoken";
    token.value = csrfToken();
    form.append(token);
    document.body.append(form);
    link.classList.add("aip-busy");
    link.setAttribute("aria-busy", "true");
    form.submit();
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without HTTPS browsers keep the clipboard to themselves: select the text, and let the old way try.
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-post]");
    if (link) {
      event.preventDefault();
      if (!link.dataset.confirm || window.confirm(link.dataset.confirm)) post(link);
      return;
    }
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  // Pages tell times by the reader's clock (aiplatform/reader_zone.py).
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `time_zone=${zone}; path=/admin/; max-age=31536000; samesite=lax`;

  document.addEventListener("DOMContentLoaded", () => {
    for (const folded of document.querySelectorAll("details")) {
      if (folded.querySelector(".errorlist, .errors")) folded.open = true;
    }
    // On a phone a cell shows its column's name; a field's own name begins small, which only a table's head sets right.
    for (const { dataset } of document.querySelectorAll("[data-label]")) {
      dataset.label = dataset.label.charAt(0).toUpperCase() + dataset.label.slice(1);
    }
    for (const table of document.querySelectorAll(".aip-top")) {
      const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
      for (const row of table.tBodies[0]?.rows ?? []) heads.forEach((head, at) => { if (row.cells[at]) row.cells[at].dataset.head = head; });
    }
    for (const frame of document.querySelectorAll("iframe[data-fit]")) {
      const fit = () => {
        const inside = frame.contentDocument?.documentElement; // none while its page is on the way
        if (inside) frame.style.height = `${inside.scrollHeight + 2}px`;
      };
      frame.addEventListener("load", fit);
      window.addEventListener("resize", fit);
      fit();
    }
    for (const element of document.querySelectorAll("[data-fill-address]")) {
      element.textContent = element.textContent.replaceAll("ADDRESS", window.location.origin);
    }
  });
})();

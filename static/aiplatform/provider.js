// The provider form says what its kind needs, as soon as a kind is chosen.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";

  const kinds = JSON.parse(document.getElementById("aip-kinds").textContent);
  const select = document.getElementById("id_kind");
  if (!select) return;

  const rowOf = (name) => document.querySelector(`.field-line.field-${name}`);
  const keys = document.getElementById("credentials-group");

  const addressHint = (kind) => {
    if (kind.url === null) return `Needed for this kind, for example ${kind.example}`;
    return `Leave it empty to call ${kind.url}`;
  };

  const show = () => {
    const kind = kinds[select.value];
    const address = document.getElementById("id_base_url");
    const addressRow = rowOf("base_url");
    const organization = rowOf("organization");
    if (organization) organization.hidden = select.value !== "openai" && !document.getElementById("id_organization").value;
    if (keys) keys.hidden = select.value === "demo" && !keys.querySelector(".original");
    if (!kind || !addressRow) return;
    addressRow.hidden = kind.url === "" && !address.value;
    address.placeholder = kind.url ?? kind.example;
    const hint = addressRow.querySelector(".leading-relaxed.text-xs");
    if (hint && !address.disabled) hint.textContent = addressHint(kind);
  };

  select.addEventListener("change", show);
  show();

  // What a mistake has sent back is not saved: who leaves it, for another page of models too, is asked as after typing.
  // The theme begins to listen once all is loaded.
  window.addEventListener("load", () => {
    if (document.querySelector(".errornote")) select.dispatchEvent(new Event("input"));
  });
});

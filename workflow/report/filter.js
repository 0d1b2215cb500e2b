// Shows of the table below a box only the rows that have every word typed into it, and none that begins with a minus.
document.querySelectorAll("input.filter").forEach((box) => {
  const rows = [...box.parentElement.querySelectorAll("tbody tr")].map((row) => {
    const cells = [...row.cells].map((cell) => cell.textContent.toLowerCase());
    return { row, text: cells.join(" ") };
  });
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter((word) => word && word !== "-");
    const fits = (text, word) => (word.startsWith("-") ? !text.includes(word.slice(1)) : text.includes(word));
    rows.forEach(({ row, text }) => (row.hidden = !words.every((word) => fits(text, word))));
  });
});

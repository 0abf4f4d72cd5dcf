// A table that sorts by its headers and keeps the rows that hold all the words of a text field.
(() => {
  'use strict'
  for (const table of document.querySelectorAll('table.sortable')) {
    const body = table.tBodies[0]
    const rows = [...body.rows]
    const text = new Map(rows.map(row => [row, row.textContent.toLowerCase()]))

    const key = (row, column) => {
      const cell = row.cells[column]
      return 'value' in cell.dataset ? (cell.dataset.value === '' ? null : Number(cell.dataset.value)) : cell.textContent.trim()
    }
    const compare = (one, other) => typeof one === 'number' && typeof other === 'number' ? one - other
      : String(one).localeCompare(String(other), 'en', { numeric: true })
    const sort = (header, column) => {
      const down = header.getAttribute('aria-sort') === 'ascending'
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort')
      header.setAttribute('aria-sort', down ? 'descending' : 'ascending')
      const keyed = rows.map(row => [key(row, column), row])
      keyed.sort(([one], [other]) => one === null || other === null ? (one === null) - (other === null)
        : down ? compare(other, one) : compare(one, other)) // what has no value comes last, either way
      body.append(...keyed.map(([, row]) => row))
    }
    ;[...table.tHead.rows[0].cells].forEach((header, column) => {
      if ('unsorted' in header.dataset) return
      const button = document.createElement('button')
      button.type = 'button'
      button.append(...header.childNodes)
      button.addEventListener('click', () => sort(header, column))
      header.append(button)
    })

    const field = document.getElementById(table.dataset.filter)
    if (!field) continue
    const told = document.getElementById(`${table.dataset.filter}-told`)
    field.closest('[hidden]').hidden = false
    field.addEventListener('input', () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean)
      let shown = 0
      for (const row of rows) {
        row.hidden = !words.every(word => text.get(row).includes(word))
        shown += !row.hidden
      }
      told.textContent = words.length ? `${shown} of ${rows.length} shown` : ''
    })
  }
})()

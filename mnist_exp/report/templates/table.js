// Turns rows into records, sorts tables by their headers, with a list of the same items, and filters their rows by the words of a text field.
(() => {
  'use strict'
  const collator = new Intl.Collator('en', { numeric: true })
  const wide = [...document.querySelectorAll('table[data-records]')]
  for (const table of wide) {
    const names = [...table.tHead.rows[0].cells].map(cell => cell.textContent.replace(/[._]/g, '$&\u200b')) // can be broken there
    for (const row of table.tBodies[0].rows) names.forEach((name, column) => { row.cells[column].dataset.label = name })
  }
  const fit = () => { // where a table is wider than its card, each row is a record
    for (const table of wide) {
      table.classList.remove('records')
      table.classList.toggle('records', table.scrollWidth > table.parentElement.clientWidth + 1)
    }
  }
  for (const table of document.querySelectorAll('table.sortable')) {
    const body = table.tBodies[0]
    const headers = [...table.tHead.rows[0].cells]
    const rows = [...body.rows]
    const list = document.getElementById(table.dataset.list)
    const items = new Map(rows.map((row, place) => [row, list?.children[place]]))
    const pills = document.querySelector(`[data-sorts="${table.id}"]`) // buttons that sort like the headers
    const buttons = [...pills?.querySelectorAll('button') ?? []]

    const key = (row, column) => {
      const cell = row.cells[column]
      if (!('value' in cell.dataset)) return cell.textContent.trim()
      const number = cell.dataset.value === '' ? NaN : Number(cell.dataset.value)
      return Number.isNaN(number) ? null : number
    }
    const compare = (one, other) => typeof one === 'number' && typeof other === 'number' ? one - other
      : collator.compare(String(one), String(other))
    const update = () => {
      for (const button of buttons) {
        button.dataset.sort = headers[button.value].getAttribute('aria-sort') ?? ''
        button.ariaPressed = String(button.dataset.sort !== '')
      }
    }
    const sort = column => {
      const down = headers[column].getAttribute('aria-sort') === 'ascending'
      for (const header of headers) header.removeAttribute('aria-sort')
      headers[column].setAttribute('aria-sort', down ? 'descending' : 'ascending')
      const keyed = rows.map(row => [key(row, column), row])
      keyed.sort(([one], [other]) => one === null || other === null ? (one === null) - (other === null)
        : down ? compare(other, one) : compare(one, other)) // rows without a value are last in both directions
      body.append(...keyed.map(([, row]) => row))
      list?.append(...keyed.map(([, row]) => items.get(row)))
      update()
    }
    headers.forEach((header, column) => {
      if ('unsorted' in header.dataset) return
      const button = document.createElement('button')
      button.type = 'button'
      button.append(...header.childNodes)
      button.addEventListener('click', () => sort(column))
      header.append(button)
    })
    for (const button of buttons) button.addEventListener('click', () => sort(Number(button.value)))
    if (pills) pills.hidden = false
    update()

    const field = document.getElementById(table.dataset.filter)
    if (!field) continue
    let texts
    const read = () => { // without the verdicts of the question that is not chosen
      const question = section.querySelector('.questions :checked')?.value ?? '0'
      texts = rows.map(row => [...row.cells].filter(cell => (cell.dataset.question ?? question) === question)
        .map(cell => cell.textContent).join(' ').toLowerCase())
    }
    const section = table.closest('section')
    const status = document.getElementById(`${field.id}-status`)
    field.closest('[hidden]').hidden = false
    const filter = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean)
      rows.forEach((row, place) => { row.hidden = !words.every(word => texts[place].includes(word)) })
      status.textContent = words.length ? `${rows.filter(row => !row.hidden).length} of ${rows.length} shown` : ''
    }
    read()
    field.addEventListener('input', filter)
    section.querySelector('.questions')?.addEventListener('change', () => { read(); filter(); fit() })
  }
  fit()
  let width = innerWidth
  addEventListener('resize', () => {
    if (width === innerWidth) return // a phone shows and hides its address bar
    width = innerWidth
    fit()
  })
  document.addEventListener('toggle', fit, true) // of details, in which a table has no width before
})()

// What the page shows of an answer: the image that the network gets, its probabilities, and the values of its layers.
const VIEW = (() => {
  const MAX_MAPS = 64 // of a layer
  const MAX_NAME = 18 // characters
  const GAP = 1 // pixels between maps
  const GAMMA = 0.6 // of the colours of values, so that weak ones are visible
  const percent = share => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`

  // A name of a class where there is little space; the whole name is in a title.
  const shorten = name => (name.length > MAX_NAME ? `${name.slice(0, MAX_NAME - 1)}…` : name)

  // Red, green and blue of a CSS colour.
  const levels = color => color.match(/[\d.]+/g).slice(0, 3).map(Number)

  // Colours of the page, in its light or dark scheme: of 0, of 1 and of −1.
  function scheme(element) {
    const { color, backgroundColor, accentColor } = getComputedStyle(element)
    return { none: levels(backgroundColor), most: levels(color), least: levels(accentColor) }
  }

  function put(canvas, height, width, pixel) {
    canvas.height = height
    canvas.width = width
    const context = canvas.getContext('2d'), image = context.createImageData(width, height)
    for (let i = 0; i < height * width; i++) {
      image.data.set(pixel(Math.floor(i / width), i % width), 4 * i)
    }
    context.putImageData(image, 0, 0)
  }

  const mix = (none, full, share) => [...none.map((one, i) => one + (full[i] - one) * share), 255]

  // Draws an image { height, width, channels, data } of bytes. Ink is dark on light, or the other way in the dark scheme.
  function drawImage(canvas, { height, width, channels, data }, isInk) {
    const { none, most } = scheme(canvas)
    put(canvas, height, width, (y, x) => {
      const at = (y * width + x) * channels
      if (channels === 3) return [data[at], data[at + 1], data[at + 2], 255]
      return isInk ? mix(none, most, data[at] / 255) : [data[at], data[at], data[at], 255]
    })
  }

  // Draws the channels of a value next to each other; numbers without a place in an image as cells.
  function drawValue(canvas, { height, width, channels, data }) {
    const colors = scheme(canvas), isImage = height * width > 1
    const maps = isImage ? Math.min(channels, MAX_MAPS) : channels, space = isImage ? GAP : 0
    const columns = Math.ceil(Math.sqrt(maps * (isImage ? 2 : 4))), rows = Math.ceil(maps / columns)
    let largest = 1e-9
    for (const one of data) largest = Math.max(largest, Math.abs(one))
    put(canvas, rows * (height + space) - space, columns * (width + space) - space, (y, x) => {
      const row = Math.floor(y / (height + space)), column = Math.floor(x / (width + space)), map = row * columns + column
      const v = y % (height + space), u = x % (width + space)
      if (map >= maps || v === height || u === width) return [0, 0, 0, 0]
      const one = data[(v * width + u) * channels + map] / largest
      return mix(colors.none, one < 0 ? colors.least : colors.most, Math.abs(one) ** GAMMA)
    })
  }

  function sizeOf({ height, width, channels }) {
    if (height * width === 1) return `${channels} numbers`
    const maps = channels > MAX_MAPS ? `${MAX_MAPS} of ${channels} maps` : channels === 1 ? '1 map' : `${channels} maps`
    return `${maps} of ${height} × ${width}`
  }

  // Fills a list with the layers [{ name, value }]; its elements stay the same from answer to answer.
  function showLayers(list, layers) {
    while (list.children.length < layers.length) {
      const item = list.appendChild(document.createElement('li')), figure = item.appendChild(document.createElement('figure'))
      figure.append(document.createElement('canvas'), document.createElement('figcaption'))
    }
    layers.forEach(({ name, value }, i) => {
      const canvas = list.children[i].querySelector('canvas'), caption = list.children[i].querySelector('figcaption')
      drawValue(canvas, value)
      canvas.setAttribute('role', 'img')
      canvas.setAttribute('aria-label', `${name}: ${sizeOf(value)}`)
      caption.textContent = `${i + 1}. ${name}: ${sizeOf(value)}`
    })
  }

  // The bars of the classes: all of them in their order, or of many the most probable ones.
  function createBars(list, names, most) {
    const count = Math.min(names.length, most)
    for (let i = 0; i < count; i++) {
      const item = list.appendChild(document.createElement('li'))
      for (const name of ['name', 'bar', 'share']) item.appendChild(document.createElement('span')).className = name
      item.querySelector('.bar').appendChild(document.createElement('i'))
    }
    return (probabilities, chosen) => {
      const order = [...names.keys()]
      if (count < names.length && probabilities) order.sort((one, other) => probabilities[other] - probabilities[one])
      order.slice(0, count).forEach((k, i) => {
        const item = list.children[i], share = probabilities ? probabilities[k] : 0
        Object.assign(item.querySelector('.name'), { textContent: shorten(names[k]), title: names[k] })
        item.querySelector('.share').textContent = probabilities ? percent(share) : ''
        item.querySelector('i').style.setProperty('--share', share)
        item.classList.toggle('chosen', chosen.includes(k))
      })
    }
  }

  // The arrow keys move in a row of buttons, of which Tab reaches one.
  function addArrows(row) {
    const buttons = [...row.querySelectorAll('button')]
    buttons.forEach((button, i) => { button.tabIndex = i ? -1 : 0 })
    row.addEventListener('keydown', event => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key], from = buttons.indexOf(event.target)
      const next = step && buttons[from + step]
      if (!next) return
      event.preventDefault()
      buttons[from].tabIndex = -1
      next.tabIndex = 0
      next.focus()
    })
  }

  return { addArrows, shorten, drawImage, showLayers, createBars }
})()

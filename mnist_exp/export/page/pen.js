// The pen: strokes by mouse, finger, pen or keyboard. A stroke is { width, points }, in parts of the side of the canvas.
// `changed` is called after each change, `say` with what the pen does, for those who do not see it.
function createPen(canvas, { changed, say, width }) {
  const SIDE = 280 // pixels of the picture whose ink the network gets
  const STEP = 1 / 28, FINE_STEP = 1 / 112 // of the arrow keys
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  const hidden = Object.assign(document.createElement('canvas'), { width: SIDE, height: SIDE })
  const picture = hidden.getContext('2d', { willReadFrequently: true })
  let strokes = [], earlier = [] // the drawings that Undo brings back
  let pointer = null // the one that draws
  let cursor = null, isDown = false // of the keyboard

  function paint(context, side, color) {
    context.clearRect(0, 0, side, side)
    Object.assign(context, { lineCap: 'round', lineJoin: 'round', strokeStyle: color })
    for (const stroke of strokes) {
      const points = stroke.points.map(([x, y]) => [x * side, y * side])
      context.lineWidth = stroke.width * side
      context.beginPath()
      context.moveTo(...points[0])
      for (let i = 1; i < points.length - 1; i++) {
        const [x, y] = points[i], [nextX, nextY] = points[i + 1]
        context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2)
      }
      context.lineTo(...points.at(-1))
      context.stroke()
    }
  }

  function show() {
    const { color } = getComputedStyle(canvas), side = canvas.width, context = canvas.getContext('2d')
    paint(context, side, color)
    if (!cursor) return
    const [x, y] = cursor.map(one => one * side), arm = side / 24
    Object.assign(context, { lineWidth: side / 140, strokeStyle: getComputedStyle(canvas).accentColor })
    context.beginPath()
    context.moveTo(x - arm, y); context.lineTo(x + arm, y); context.moveTo(x, y - arm); context.lineTo(x, y + arm)
    if (isDown) context.arc(x, y, arm / 2, 0, 7)
    context.stroke()
  }

  function update() {
    show()
    changed()
  }

  function begin(point) {
    earlier.push(strokes)
    strokes = [...strokes, { width: width(), points: [point] }]
  }

  function place({ clientX, clientY }) {
    const { left, top, width: across, height: down } = canvas.getBoundingClientRect()
    return [(clientX - left) / across, (clientY - top) / down]
  }

  function undo() {
    if (!earlier.length) return
    strokes = earlier.pop()
    isDown = false
    update()
  }

  // Removes all strokes without a call of `changed`: something else is shown instead.
  function wipe() {
    isDown = false
    if (strokes.length) earlier.push(strokes)
    strokes = []
    show()
  }

  function clear() {
    wipe()
    changed()
  }

  canvas.addEventListener('pointerdown', event => {
    if (pointer !== null || event.button) return
    pointer = event.pointerId
    canvas.setPointerCapture(pointer)
    cursor = null
    isDown = false
    begin(place(event))
    update()
  })
  canvas.addEventListener('pointermove', event => {
    if (event.pointerId !== pointer) return
    const passed = event.getCoalescedEvents?.() ?? []
    strokes.at(-1).points.push(...(passed.length ? passed : [event]).map(place))
    update()
  })
  for (const name of ['pointerup', 'pointercancel'])
    canvas.addEventListener(name, event => { if (event.pointerId === pointer) pointer = null })

  canvas.addEventListener('keydown', event => {
    const { key } = event
    if (key in ARROWS && !event.ctrlKey && !event.altKey && !event.metaKey) {
      const step = event.shiftKey ? FINE_STEP : STEP
      cursor = (cursor ?? [0.5, 0.5]).map((one, axis) => Math.min(Math.max(one + step * ARROWS[key][axis], 0), 1))
      if (isDown) strokes.at(-1).points.push(cursor)
    } else if (key === ' ' || key === 'Enter') {
      cursor ??= [0.5, 0.5]
      isDown = !isDown
      if (isDown) begin(cursor)
      say(isDown ? 'The pen is down.' : 'The pen is up.')
    } else if (key === 'Delete' || key === 'Escape') clear()
    else if (key === 'Backspace') undo()
    else return
    event.preventDefault()
    update()
  })
  canvas.addEventListener('blur', () => { cursor = null; isDown = false; show() })

  return {
    show, undo, clear, wipe,
    isEmpty: () => !strokes.length,
    canUndo: () => earlier.length > 0,
    // The ink: { height, width, data }, data from 0 to 255.
    ink() {
      paint(picture, SIDE, '#000')
      const { data } = picture.getImageData(0, 0, SIDE, SIDE)
      return { height: SIDE, width: SIDE, data: Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i + 3]) }
    },
  }
}

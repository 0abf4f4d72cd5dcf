// One digit's ink → an image of 28 × 28 pixels in the form of MNIST's: the port of mnist_exp/prediction/normalization.py, in
// integers, so that both give the same images. A test compares them.
const NORMALIZATION = (() => {
  const SIDE = 28, INNER = 20, MIN_SQUARE = 10, FLAT = 0.35

  // How much of each of the 20 cells of a centred side is covered by which pixels, in 1/20 of a pixel: for each cell the first
  // pixel, and the shares of it and of those after it.
  function overlaps(length, square) {
    const start = Math.floor((square - length) / 2)
    return Array.from({ length: INNER }, (_, cell) => {
      const from = square * cell, first = Math.max(Math.floor(from / INNER) - start, 0)
      const last = Math.min(Math.ceil((from + square) / INNER) - start, length)
      return { first, shares: Float64Array.from({ length: Math.max(last - first, 0) }, (_, i) => {
        const pixel = INNER * (start + first + i)
        return Math.min(from + square, pixel + INNER) - Math.max(from, pixel)
      }) }
    })
  }

  // The place of the first of 20 rows, or columns, from the ink in each: so that the centre of mass is in pixel 14.
  function offset(sums) {
    const total = sums.reduce((sum, one) => sum + one, 0)
    const twice = sums.reduce((sum, one, i) => sum + one * (2 * i + 1), 0)
    return total ? -Math.floor((twice - SIDE * total) / (2 * total)) : (SIDE - INNER) / 2
  }

  // The box around the ink: { top, left, height, width }; null if there is none.
  function inkBox({ height, width, data }) {
    let top = height, bottom = -1, left = width, right = -1
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue
      top = Math.min(top, y); bottom = Math.max(bottom, y); left = Math.min(left, x); right = Math.max(right, x)
    }
    return bottom < 0 ? null : { top, left, height: bottom - top + 1, width: right - left + 1 }
  }

  // ink: { height, width, data }, data from 0 for paper to 255 for ink. Returns 28 × 28 bytes.
  function normalize(ink) {
    const image = new Uint8Array(SIDE * SIDE), box = inkBox(ink)
    if (!box) return image
    const square = Math.max(box.height, box.width, MIN_SQUARE), area = square * square
    const down = overlaps(box.height, square), across = overlaps(box.width, square)
    const total = ({ first, shares }, value) => shares.reduce((sum, share, i) => sum + share * value(first + i), 0)
    const strips = across.map(cell => Float64Array.from({ length: box.height }, (_, y) => {
      const line = (box.top + y) * ink.width + box.left
      return total(cell, x => ink.data[line + x])
    }))
    const inner = down.map(cell => strips.map(strip => Math.floor((2 * total(cell, y => strip[y]) + area) / (2 * area))))
    const top = offset(inner.map(line => line.reduce((sum, one) => sum + one, 0)))
    const left = offset(strips.map((_, x) => inner.reduce((sum, line) => sum + line[x], 0)))
    inner.forEach((line, i) => line.forEach((one, j) => {
      const y = top + i, x = left + j
      if (y >= 0 && y < SIDE && x >= 0 && x < SIDE) image[y * SIDE + x] = one
    }))
    return image
  }

  // Whether the ink of an image is flat like a minus sign, as no digit is.
  function isFlat(image) {
    const box = inkBox(image)
    return box !== null && box.height < FLAT * box.width
  }

  return { normalize, isFlat, inkBox, SIDE }
})()

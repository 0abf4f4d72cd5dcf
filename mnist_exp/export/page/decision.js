// From probabilities to an answer. Calibrated by held-out images, the page knows when it is unsure: the probabilities get a
// temperature (Guo et al. 2017), and the classes that are not improbable enough to be excluded are the answer (split conformal
// prediction): one class is a sure answer, several or none are not.
const DECISION = (() => {
  function calibrated(probabilities, temperature) {
    const powers = Float64Array.from(probabilities, one => one ** (1 / temperature))
    const sum = powers.reduce((total, one) => total + one, 0)
    return powers.map(one => one / sum)
  }

  const percent = share => (share > 0.999 ? '> 99.9 %' : `${(100 * share).toFixed(1)} %`)

  // calibration: { temperature, threshold, confidence, limit } or null. Returns the calibrated `probabilities`, and the
  // `classes` of the answer, the most probable first; `isSure` if it is one class, `isStrange` if the image is not a digit.
  function decide({ probabilities, strangeness }, calibration) {
    const shares = calibration ? calibrated(probabilities, calibration.temperature) : probabilities
    const order = [...shares.keys()].sort((one, other) => shares[other] - shares[one])
    const isStrange = typeof calibration?.limit === 'number' && strangeness > calibration.limit
    const classes = isStrange ? [] : calibration ? order.filter(k => shares[k] >= calibration.threshold) : order.slice(0, 1)
    return { probabilities: shares, classes, isSure: classes.length === 1, isStrange, best: order[0] }
  }

  // The answer in words; `names` of its classes.
  function words({ probabilities, classes, isSure, isStrange, best }, names) {
    if (isStrange) return 'it is unlike the digits that the network knows'
    if (isSure) return `${percent(probabilities[best])} probable`
    if (!classes.length) return 'none of the classes is probable'
    return names.length > 4 ? `${names.slice(0, 4).join(', ')} or others` : names.join(' or ')
  }

  return { decide, words }
})()

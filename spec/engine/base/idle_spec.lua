-- How long the pauses between looks for news are.

local _ = require "spec.helper"
local idle = require "idle_test"

local function near(wanted, pause)
  assert.is_true(pause[1] <= wanted and wanted <= pause[2],
    ("%g to %g in place of %g"):format(pause[1], pause[2], wanted))
end

describe("the pause behind a look that found nothing", function()
  it("doubles, up to the longest, where looks cost nothing", function()
    local pauses = idle.pauses({ cost_us = 0, most_ms = 4000 }, 15)
    for i = 1, 12 do
      near(2 ^ (i - 1), pauses[i])
    end
    near(4000, pauses[13])
    near(4000, pauses[15])
  end)

  it("is a hundred times as long as the look took, for all together", function()
    local pauses, told = idle.pauses({ cost_us = 9000 }, 2)
    near(900, pauses[1])
    near(900, pauses[2])
    assert.equal(0, told)
    pauses, told = idle.pauses({ cost_us = 9000, lookers = 5 }, 2)
    near(4500, pauses[1])
    assert.equal(1, told)
  end)

  it("grows to that where events are held back", function()
    local pauses, told = idle.pauses({ cost_us = 500000, held = true }, 9)
    for i = 1, 7 do
      near(500 * 2 ^ (i - 1), pauses[i])
    end
    near(50000, pauses[8])
    near(50000, pauses[9])
    assert.equal(0, told)
  end)
end)

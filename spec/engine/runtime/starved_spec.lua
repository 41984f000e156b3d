-- A machine without memory: every request of the library's is refused once.

local helper = require "spec.helper"

-- How many requests a life of two projections makes; it ends well although
-- one of them was refused.
local function requests(events, models, step, mode)
  local code, out, err = helper.run({ "lua5.4", "-l", "spec.helper",
    "spec/engine/runtime/starved_life.lua", events, models, tostring(step),
    mode },
    { timeout = 300 })
  assert.equal(0, code, err)
  return math.tointeger(out)
end

local seed = helper.seed(6) -- as in starved_life.lua

describe("a request for memory that is refused, seed " .. seed, function()
  local file

  before_each(function()
    file = "sqlite:" .. helper.tmpdir() .. "/%d.db"
  end)

  it("fails one call and harms nothing", function()
    assert.is_true(requests("memory:", "memory:", 1) > 300)
  end)

  it("fails one call and harms nothing in a file", function()
    assert.is_true(requests(file, file, 3) > 300)
  end)

  it("stops one projection and harms nothing, on threads #threads", function()
    assert.is_true(requests("memory:", "memory:", 7, "threads") > 300)
    assert.is_true(requests(file, file, 7, "threads") > 300)
  end)
end)

require "spec.helper"
local nearest = require("schema_test").nearest

describe("the nearest word", function()
  it("forgives a slip or two, and case", function()
    assert.equal("balance", nearest("balanec", "owner", "balance"))
    assert.equal("balance", nearest("BALANCE", "owner", "balance"))
    assert.equal("owner", nearest("ownr", "balance", "owner"))
  end)

  it("is the one with the fewest slips, the first of equals", function()
    assert.equal("poll_ms", nearest("pol_ms", "stop_ms", "poll_ms"))
    assert.equal("made", nearest("mbde", "made", "mode"))
  end)

  it("is none if all are far", function()
    assert.is_nil(nearest("colour", "owner", "balance", "id"))
    assert.is_nil(nearest("x", "id"))
    assert.is_nil(nearest(("x"):rep(65), ("x"):rep(65)))
    assert.is_nil(nearest("x"))
  end)
end)

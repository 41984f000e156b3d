-- The phases of a projection: what may follow what.

local phase_test = require "phase_test"

local followers = phase_test.followers()
local prepared = phase_test.prepared()

local function may_follow(now, next)
  for _, word in ipairs(followers[now]) do
    if word == next then
      return true
    end
  end
  return false
end

describe("a phase", function()
  it("may always be entered again, but for the last one", function()
    for now in pairs(followers) do
      assert.equal(now ~= "abandoned", may_follow(now, now), now)
    end
  end)

  it("that commits is reached by reading the checkpoint alone", function()
    local reads = { owned = true, failed = true }
    for now in pairs(followers) do
      for _, next in ipairs(followers[now]) do
        assert.is_true(not prepared[next] or prepared[now] or reads[now],
          now .. " to " .. next)
      end
    end
    assert.is_false(prepared.owned or prepared.failed)
  end)

  it("that is paused ends only by reading the checkpoint anew", function()
    for _, next in ipairs { "catching up", "live", "prepared" } do
      assert.is_false(may_follow("paused", next), next)
      assert.equal(next == "prepared", may_follow("owned", next), next)
    end
  end)

  it("without the ownership begins with it", function()
    for _, now in ipairs {
      "released", "standby", "failed, unowned", "detached",
    } do
      assert.is_true(may_follow(now, "owned"), now)
      for _, next in ipairs(followers[now]) do
        assert.is_false(prepared[next] or next == "failed",
          now .. " to " .. next)
      end
    end
  end)

  it("can be reached from the first, and be left behind", function()
    local reached, list = { released = true }, { "released" }
    for _, now in ipairs(list) do
      for _, next in ipairs(followers[now]) do
        if not reached[next] then
          reached[next] = true
          list[#list + 1] = next
        end
      end
    end
    for now in pairs(followers) do
      assert.is_true(reached[now], now)
      assert.equal(now ~= "abandoned", may_follow(now, "abandoned"), now)
    end
  end)

  it("is the last one when it was abandoned", function()
    assert.same({}, followers.abandoned)
  end)
end)

require "spec.helper"
local values = require "values_test"

local function event(i, data)
  return {
    id = "id-" .. i,
    stream = "account-" .. i % 3,
    type = "Deposited",
    version = i,
    data = data or '{"cents":' .. i .. "}",
    metadata = i % 2 == 0 and "{}" or nil,
  }
end

describe("a batch", function()
  it("gives back the events that were added", function()
    local batch = values.batch()
    for i = 1, 1000 do
      assert.is_true(batch:add(event(i)))
    end
    assert.equal(1000, (batch:size()))
    for i = 1, 1000 do
      assert.same(event(i), batch:at(i))
    end
  end)

  it("owns its bytes, of events larger than a block too", function()
    local batch = values.batch()
    local large = '"' .. ("x"):rep(1000000) .. '"'
    batch:add(event(1))
    batch:add(event(2, large))
    batch:add(event(3))
    collectgarbage()
    assert.same(event(1), batch:at(1))
    assert.equal(large, batch:at(2).data)
    assert.same(event(3), batch:at(3))
  end)

  it("tells empty from absent", function()
    local batch = values.batch()
    batch:add { id = "", stream = "s", type = "t", data = "" }
    assert.equal("", batch:at(1).id)
    assert.equal("", batch:at(1).data)
    assert.is_nil(batch:at(1).metadata)
  end)

  it("counts the bytes it holds, of data what is found in it too", function()
    local batch = values.batch()
    batch:add(event(1, ("x"):rep(1000)))
    local _, one = batch:size()
    assert.is_true(one >= 2000 and one < 2400)
    batch:add(event(2, ("x"):rep(1000)))
    local _, two = batch:size()
    assert.is_true(two >= 2 * one and two < 2 * one + 10)
  end)

  it("can be filled again once it is cleared", function()
    local batch = values.batch()
    for round = 1, 3 do
      for i = 1, 70000 // round do
        batch:add(event(i))
      end
      assert.equal(70000 // round, (batch:size()))
      assert.same(event(round), batch:at(round))
      batch:clear()
      local count, bytes = batch:size()
      assert.equal(0, count)
      assert.equal(0, bytes)
    end
  end)
end)

describe("an event filter", function()
  local wants = values.filter_wants

  it("wants everything unless it is told otherwise", function()
    assert.is_true(wants({}, nil, "s", "t"))
  end)

  it("wants the types it names and no other", function()
    assert.is_true(wants({ "a", "b" }, nil, "s", "b"))
    assert.is_false(wants({ "a", "b" }, nil, "s", "c"))
    assert.is_false(wants({ "a", "b" }, nil, "s", "A"))
    assert.is_false(wants({ "a", "b" }, nil, "s", "ab"))
  end)

  it("wants the stream it names and no other", function()
    assert.is_true(wants({}, "s", "s", "t"))
    assert.is_false(wants({}, "s", "S", "t"))
    assert.is_false(wants({}, "", "s", "t"))
    assert.is_false(wants({ "t" }, "s", "s", "u"))
  end)
end)

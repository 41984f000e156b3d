-- Whether one reader may go on with what another one keeps.

local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"

local server, reason = postgres.start()

local function hex(number)
  return ('"%032x"'):format(number)
end

local function list(key, numbers)
  local parts = {}
  for i, number in ipairs(numbers or {}) do
    parts[i] = hex(number)
  end
  return #parts > 0 and (',"%s":[%s]'):format(key, table.concat(parts, ","))
    or ""
end

-- skips: {from, to, at}, ...; more: numbers that are no longer listed.
local function state(of)
  local count, parts = of.more or 0, {}
  for i, skip in ipairs(of.skips or {}) do
    count = count + skip[2] - skip[1] + 1
    parts[i] = ("[%d,%d,%d]"):format(skip[1], skip[2], skip[3] or 1)
  end
  return ('A{"anchor":"%s"%s%s%s,"skipped":%d,"skips":[%s]%s%s}'):format(
    of.anchor or "x",
    of.ceiling and ',"ceiling":' .. hex(of.ceiling) or "",
    of.floor and ',"floor":' .. hex(of.floor) or "",
    of.held and (',"held":[%d,%d,1]'):format(of.held, of.held) or "",
    count, table.concat(parts, ","),
    list("seen", of.seen), list("ahead", of.ahead))
end

describe("two states of readers in postgres #postgres", function()
  if not server then
    pending(reason)
    return
  end

  local store

  setup(function()
    store = assert(event_store.open(server:new_database().url))
  end)

  teardown(function()
    store:close()
  end)

  local function same(own, other)
    return (store:same_reach(state(own), state(other)))
  end

  local function alike(a, b)
    assert.equal(same(a, b), same(b, a))
    return same(a, b)
  end

  it("have the same anchor", function()
    assert.is_true(alike({}, {}))
    assert.is_false(alike({}, { anchor = "y" }))
  end)

  it("may differ in what is known of the log", function()
    assert.is_true(alike({ ceiling = 3 }, { ceiling = 9 }))
    assert.is_true(alike({ held = 3 }, {}))
  end)

  it("have passed over the same numbers, in whatever pieces", function()
    local whole = { skips = { { 4, 7 }, { 9, 9 } } }
    assert.is_true(alike(whole,
      { skips = { { 9, 9, 5 }, { 6, 7, 3 }, { 4, 5, 2 } } }))
    assert.is_false(alike(whole, { skips = { { 4, 7 } } }))
    assert.is_false(alike(whole, { skips = { { 4, 8 } } }))
    assert.is_false(alike(whole, { skips = { { 4, 9 } } }))
    assert.is_false(alike(whole, {}))
  end)

  it("differ where it is forgotten which those were", function()
    local long, other = { more = 1 }, { more = 1 }
    long.skips, other.skips = {}, {}
    for i = 1, 1000 do
      long.skips[i] = { 3 * i, 3 * i }
      other.skips[i] = { 3 * i, 3 * i }
    end
    assert.is_true(alike(long, other))
    other.more = 2
    assert.is_false(alike(long, other))
    other.more = 1
    other.skips[1], other.skips[2] = other.skips[2], other.skips[1]
    assert.is_false(alike(long, other))
  end)

  it("have given out the same events early", function()
    assert.is_true(alike({ ahead = { 8, 9 } }, { ahead = { 8, 9 } }))
    assert.is_false(alike({ ahead = { 8, 9 } }, { ahead = { 8 } }))
    assert.is_false(alike({ ahead = { 8 } }, { ahead = { 9 } }))
  end)

  it("have given out the same events above the floor", function()
    local own = { floor = 3, seen = { 4, 5, 6 } }
    assert.is_true(alike(own, { floor = 3, seen = { 4, 5, 6 } }))
    assert.is_false(alike(own, { floor = 3, seen = { 4, 6 } }))
    assert.is_true(same(own, { floor = 5, seen = { 6 } }))
    assert.is_false(same(own, { floor = 5, seen = { 7 } }))
  end)

  it("may not both be taken over where one looks further back", function()
    local longer, shorter =
      { floor = 3, seen = { 4, 5, 6 } }, { floor = 5, seen = { 6 } }
    assert.is_true(same(longer, shorter))
    assert.is_false(same(shorter, longer))
  end)

  it("prove nothing of what lies below that", function()
    local _, unproven = store:same_reach(
      state { floor = 3, seen = { 6 } }, state { floor = 5, seen = { 6 } })
    assert.matches("5$", unproven)
    _, unproven = store:same_reach(state {}, state {})
    assert.equal("0:0", unproven)
  end)

  it("are such of this store", function()
    assert.is_false((store:same_reach(state {}, 'A{"other":1}')))
    assert.is_false((store:same_reach('A{"other":1}', 'A{"other":1}')))
    assert.is_false((store:same_reach("", state { anchor = "" })))
  end)
end)

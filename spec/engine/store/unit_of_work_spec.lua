-- The touched models of a batch, and the cache of hot ones.

local helper = require "spec.helper"
local unit_of_work = require "unit_of_work_test"

-- A batch that sets these rows (false deletes), on a store that is a table.
local function apply(uow, stored, rows)
  uow:begin()
  local places = {}
  for id in pairs(rows) do
    places[id] = uow:touch(id)
  end
  uow:load(stored)
  for id, row in pairs(rows) do
    uow:put(places[id], row or nil)
  end
end

local function row_of(uow, stored, id)
  uow:begin()
  local place = uow:touch(id)
  uow:load(stored)
  return uow:row(place)
end

describe("a unit of work", function()
  it("asks the store once for each model of a batch", function()
    local uow = unit_of_work.new(1 << 20)
    uow:begin()
    local a = uow:touch "a"
    local b = uow:touch "b"
    assert.equal(a, uow:touch "a")
    assert.equal(2, uow:load { a = "one" })
    assert.equal("one", uow:row(a))
    assert.is_nil(uow:row(b))
    assert.equal(0, uow:load {})
  end)

  it("knows between batches what there is, and what there is not", function()
    local uow = unit_of_work.new(1 << 20)
    uow:begin()
    uow:touch "a"
    uow:touch "b"
    uow:load { a = "one" }
    uow:collect()
    uow:settled()
    uow:begin()
    local a, b = uow:touch "a", uow:touch "b"
    assert.equal(0, uow:load {})
    assert.equal("one", uow:row(a))
    assert.is_nil(uow:row(b))
  end)

  it("collects each changed model once, with its last row", function()
    local uow = unit_of_work.new(1 << 20)
    uow:begin()
    local a, b, c = uow:touch "a", uow:touch "b", uow:touch "c"
    uow:load { b = "old", c = "same" }
    uow:put(a, "first")
    uow:put(a, "a much longer second row than the first one was")
    uow:put(b, nil)
    assert.equal("same", uow:row(c))
    assert.same({
      { id = "a", row = "a much longer second row than the first one was",
        is_new = true },
      { id = "b" },
    }, uow:collect())
    assert.same({}, uow:collect())
  end)

  it("forgets a batch: its models are as the store has them", function()
    local uow = unit_of_work.new(1 << 20)
    local stored = { a = "one" }
    apply(uow, stored, { a = "two", b = "new", c = "new" })
    uow:forget()
    assert.equal("one", row_of(uow, stored, "a"))
    assert.is_nil(row_of(uow, stored, "b"))
    assert.same({}, uow:collect())
    stored.c = "from elsewhere"
    assert.equal("from elsewhere", row_of(uow, stored, "c"))
  end)

  it("forgets only what the batch has parked", function()
    local uow = unit_of_work.new(1 << 20)
    uow:mark_parked("before", true)
    uow:begin()
    local before, now = uow:touch "before", uow:touch "now"
    uow:load {}
    assert.is_true(uow:is_parked(before))
    assert.is_false(uow:is_parked(now))
    uow:park(before)
    uow:park(now)
    uow:forget()
    uow:begin()
    assert.is_true(uow:is_parked(uow:touch "before"))
    assert.is_false(uow:is_parked(uow:touch "now"))
    uow:park(uow:touch "now")
    uow:collect()
    uow:begin()
    assert.is_true(uow:is_parked(uow:touch "now"))
    uow:forget()
    uow:begin()
    assert.is_true(uow:is_parked(uow:touch "now"))
    uow:mark_parked("now", false)
    assert.is_false(uow:is_parked(uow:touch "now"))
  end)

  it("keeps what is not durable, however small the cache", function()
    local uow = unit_of_work.new(1)
    apply(uow, {}, { a = "one" })
    uow:collect()
    assert.equal("one", row_of(uow, { a = "old" }, "a"))
    uow:settled()
    uow:begin()
    uow:begin()
    assert.equal("stored", row_of(uow, { a = "stored" }, "a"))
  end)

  it("keeps the marks of parked models, however small the cache", function()
    local uow = unit_of_work.new(1)
    uow:mark_parked("a", true)
    for i = 1, 5000 do
      row_of(uow, {}, "m" .. i)
    end
    uow:begin()
    assert.is_true(uow:is_parked(uow:touch "a"))
  end)

  it("holds no more than it may between batches", function()
    local limit = 100000
    local uow = unit_of_work.new(limit)
    local row = ("x"):rep(100)
    for batch = 1, 50 do
      local rows = {}
      for i = 1, 100 do
        rows["m" .. batch * 100 + i] = row
      end
      apply(uow, {}, rows)
      uow:collect()
      uow:settled()
      uow:begin()
      uow:begin()
      assert.is_true(uow:cache_bytes() <= limit)
    end
    assert.is_true(uow:cache_bytes() > limit / 2)
    uow:clear()
    assert.equal(0, uow:cache_bytes())
  end)

  it("counts what a batch touches, loaded, grown or known before", function()
    local uow = unit_of_work.new(1 << 20)
    local row = ("x"):rep(10000)
    apply(uow, { a = row }, { b = row })
    local written = uow:touched_bytes()
    assert.is_true(written >= 10000 and written < 13000)
    local place = uow:touch "a"
    uow:load { a = row }
    assert.is_true(uow:touched_bytes() > written + 10000)
    uow:put(place, row .. row)
    assert.is_true(uow:touched_bytes() > written + 20000)
    uow:put(place, nil)
    assert.is_true(uow:touched_bytes() < written + 1000)
    uow:begin()
    assert.equal(0, uow:touched_bytes())
    uow:touch "b"
    assert.is_true(uow:touched_bytes() >= 10000)
  end)

  it("shrinks between batches, to what is not stored yet at least", function()
    local uow = unit_of_work.new(1 << 20)
    local rows, stored = {}, {}
    for i = 1, 3000 do
      rows["m" .. i] = "row " .. i
    end
    apply(uow, {}, rows)
    uow:collect()
    uow:shrink(0)
    assert.equal("row 7", row_of(uow, stored, "m7"))
    uow:settled()
    uow:shrink(1000)
    assert.is_true(uow:cache_bytes() <= 1000)
    stored["m8"] = "another"
    assert.equal("another", row_of(uow, stored, "m8"))
    apply(uow, stored, rows)
    assert.equal("row 8", row_of(uow, stored, "m8"))
  end)

  -- What the engine does with it, against tables: batches that are committed
  -- later, thrown away, or lost with their commit.
  local seed = helper.seed(7)

  it("never shows an old row, whatever happens, seed " .. seed, function()
    local r = helper.random(seed)
    for _, cache_bytes in ipairs { 0, 1000, 5000, 1 << 20 } do
      local uow = unit_of_work.new(cache_bytes)
      local stored, models, pending = {}, {}, nil
      local function settle()
        for _, model in ipairs(pending or {}) do
          assert.equal(model.row ~= nil and stored[model.id] == nil,
            model.is_new == true)
          stored[model.id] = model.row
        end
        pending = nil
        uow:settled()
      end
      for round = 1, 3000 do
        uow:begin()
        local rows, places, ids = {}, {}, {}
        for i = 1, r:within(1, 8) do
          ids[i] = "m" .. r:within(1, 60)
          places[ids[i]] = uow:touch(ids[i])
        end
        uow:load(stored)
        for _, id in ipairs(ids) do
          local place, row = places[id], rows[id]
          if row == nil then
            row = models[id]
          end
          assert.equal(row or nil, uow:row(place))
          if r:within(1, 3) > 1 then
            row = r:within(1, 5) > 1
              and round .. ("."):rep(r:within(1, 200)) or nil
            rows[id] = row or false
            uow:put(place, row)
          end
        end
        local fate = r:within(1, 10)
        if fate == 1 then
          settle()
          uow:forget()
        elseif fate == 2 then
          pending = nil -- that commit has failed, and this batch with it
          uow:forget()
          uow:clear()
          models = {}
          for id, row in pairs(stored) do
            models[id] = row
          end
        else
          settle()
          pending = uow:collect()
          for id, row in pairs(rows) do
            models[id] = row or nil
          end
        end
      end
      settle()
      assert.same(models, stored)
    end
  end)
end)

-- Endless and greedy handlers: who is blamed, and what becomes of the rest.

local kit = require "spec.engine.engine_kit"

-- data: ids, n, and endless (true or an id), greedy, endless_extract, or keep
-- and hoard: KiB held on to until the state is thrown away, by apply_to_model
-- and by extract_model_id.
local source = [[
local hoard = {}
return {
  name = "hungry",
  version = 1,
  fields = { log = "text" },
  on_error = "%s",
  retries = %d,
  extract_model_id = function(event)
    local data = event.data
    while data.endless_extract do end
    if data.hoard then
      hoard[#hoard + 1] = ("x"):rep(1024):rep(data.hoard) .. data.n
    end
    return data.ids
  end,
  apply_to_model = function(model, event, id)
    local data = event.data
    model = model or { log = "" }
    model.log = model.log .. data.n .. ","
    while data.endless == true or data.endless == id do end
    if data.greedy then
      local all = {}
      for i = 1, 1e9 do all[i] = { i } end
    end
    if data.keep then
      hoard[#hoard + 1] = ("x"):rep(1024):rep(data.keep) .. data.n
    end
    return model
  end,
}
]]

local settings = {
  script_instructions = 1000000,
  script_memory_bytes = 4 << 20,
}

for _, kind in ipairs(kit.kinds) do
  describe("a budget on " .. kind .. " stores", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    after_each(kit.close_all)

    local function run(list, on_error, more)
      local engine =
        kit.open(kit.stores(kind), kit.merge(settings, more or {}))
      kit.register(engine, source:format(on_error, 0), "hungry.lua")
      kit.append(engine, list)
      return engine, engine:run_once()
    end

    -- Events 1 to `count`, the one in the middle with something more to it.
    local function around(count, more)
      local list = {}
      for n = 1, count do
        list[n] = { n = n, ids = "m" .. n % 10 }
      end
      list[count // 2] = kit.merge(list[count // 2], more)
      return list
    end

    -- How many events each of the log's models has seen.
    local function count_applied(engine)
      local count = 0
      for _, model in pairs(kit.models(engine, "hungry")) do
        count = count + select(2, model.log:gsub(",", ""))
      end
      return count
    end

    for _, case in ipairs {
      { "endless", "ran more than 1000000 instructions" },
      { "greedy", "used more than 4096 KiB of memory" },
    } do
      local vice, words = table.unpack(case)

      it("stops a projection at its " .. vice .. " event", function()
        local engine, ok, message, code =
          run(around(1000, { [vice] = true }), "stop")
        assert.is_nil(ok)
        assert.equal("budget", code)
        assert.matches("^hungry: event 500 %(Noted on s%): hungry%.lua",
          message)
        assert.matches(words, message)
        assert.equal(499, count_applied(engine))
        assert.equal("499", kit.status(engine, "hungry").position)
      end)

      it("skips just the " .. vice .. " event", function()
        local engine, ok = run(around(1000, { [vice] = true }), "skip")
        assert.is_true(ok)
        assert.equal(999, count_applied(engine))
        local skipped = engine:skipped "hungry"
        assert.equal(1, #skipped)
        assert.equal(500, skipped[1].data.n)
        assert.matches(words, skipped[1].error)
      end)

      it("parks just the model of the " .. vice .. " event", function()
        local list = around(1000, { [vice] = true })
        list[3].endless = true
        local engine, ok = run(list, "park")
        assert.is_true(ok)
        local parked = kit.parked(engine, "hungry")
        assert.equal(100, #parked.m3)
        assert.equal(3, parked.m3[1])
        assert.equal(51, #parked.m0)
        assert.equal(500, parked.m0[1])
        assert.is_nil(parked.m4)
        assert.equal(1000 - 151, count_applied(engine))
        assert.matches("ran more than",
          engine:parked("hungry", "m3")[1].error)
        assert.matches(words, engine:parked("hungry", "m0")[1].error)
      end)
    end

    it("finds each of many that spend it", function()
      local list = {}
      for n = 1, 2000 do
        list[n] = { n = n, ids = "m" .. n % 10, endless = n % 7 == 0 or nil }
      end
      for _, on_error in ipairs { "skip", "park" } do
        local engine, ok =
          run(list, on_error, { script_instructions = 2000 })
        assert.is_true(ok)
        local skipped = 0
        for _, item in ipairs(engine:skipped "hungry") do
          assert.equal(0, item.data.n % 7)
          skipped = skipped + 1
        end
        local parked = #engine:parked "hungry"
        assert.equal(2000, count_applied(engine) + skipped + parked)
        if on_error == "skip" then
          assert.equal(2000 // 7, skipped)
        else
          assert.equal(63, kit.parked(engine, "hungry").m3[1])
          assert.equal(194, #kit.parked(engine, "hungry").m3)
        end
      end
    end)

    it("stops extract_model_id too", function()
      local engine, ok, message =
        run(around(100, { endless_extract = true }), "park")
      assert.is_nil(ok)
      assert.matches("^hungry: event 50 .*ran more than", message)
      assert.equal(49, count_applied(engine))
      engine, ok = run(around(100, { endless_extract = true }), "skip")
      assert.is_true(ok)
      assert.equal(99, count_applied(engine))
    end)

    it("is each id's own", function()
      local engine, ok = run({
        { n = 1, ids = { "a", "b", "c" }, endless = "b" },
      }, "park")
      assert.is_true(ok)
      assert.equal("1,", engine:get("hungry", "a").log)
      assert.is_nil((engine:get("hungry", "b")))
      assert.equal("1,", engine:get("hungry", "c").log)
    end)

    for _, where in ipairs { "keep", "hoard" } do
      it("makes batches smaller before it blames one (" .. where .. ")",
        function()
          local list = {}
          for n = 1, 60 do
            list[n] = { n = n, ids = "m" .. n % 10, [where] = 400 }
          end
          for _, on_error in ipairs { "stop", "park", "skip" } do
            local engine, ok, message = run(list, on_error)
            assert.is_nil(message)
            assert.is_true(ok)
            assert.equal(60, count_applied(engine))
            assert.same({}, engine:parked "hungry")
            assert.same({}, engine:skipped "hungry")
          end
        end)
    end
  end)
end

-- Scripts that change under a running engine.

local helper = require "spec.helper"
local lunette = require "lunette"
local kit = require "spec.engine.engine_kit"

-- options: name, version, fields, indexes, handles, tag (what it writes beside
-- each number), fail (a number it raises on)
local function script(options)
  options = options or {}
  local lines = {
    "return {",
    ('  name = "%s",'):format(options.name or "diary"),
    ("  version = %d,"):format(options.version or 1),
    ("  fields = { %s },"):format(
      options.fields or 'log = "text", count = "integer"'),
    options.indexes and ("  indexes = { %s },"):format(options.indexes) or "",
    options.handles and ("  handles = { %s },"):format(options.handles) or "",
    ([[
  extract_model_id = function(event) return event.data.ids end,
  apply_to_model = function(model, event)
    local n = event.data.n
    model = model or { log = "", count = 0 }
    assert(n ~= %d, "refused " .. n)
    model.log = model.log .. n .. "%s,"
    model.count = model.count + 1
    return model
  end,
}
]]):format(options.fail or -1, options.tag or ""),
  }
  return table.concat(lines, "\n")
end

for _, kind in ipairs(kit.kinds) do
  describe("a script file on " .. kind .. " stores #threads", function()
    local missing = kit.missing(kind)
    if missing then
      pending(missing)
      return
    end

    local folder, path, engine, written

    before_each(function()
      folder = helper.tmpdir()
      path = folder .. "/diary.lua"
      helper.write_file(path, script())
      engine = kit.open(kit.stores(kind), { heartbeat_ms = 50 })
      assert(engine:register_folder(folder))
      assert(engine:watch())
      assert(engine:start())
      written = 0
    end)

    after_each(kit.close_all)

    local function write(name, timeout)
      written = written + 1
      kit.append(engine, { { n = written, ids = "a" } })
      assert(engine:wait { projection = name or "diary", timeout = timeout })
    end

    local function log(name)
      local model = engine:get(name or "diary", "a")
      return model and model.log
    end

    -- In place, or as editors do it: a file beside it, renamed over it.
    local function edit(text, renamed)
      if renamed then
        helper.write_file(folder .. "/.diary.lua.tmp", text)
        assert(os.rename(folder .. "/.diary.lua.tmp", path))
      else
        helper.write_file(path, text)
      end
    end

    local function error_of(name)
      local status = kit.status(engine, name or "diary")
      return status and status.last_error ~= lunette.null
        and status.last_error or nil
    end

    local function wait_error(pattern, name)
      return helper.wait(function()
        local words = error_of(name)
        return words and words:find(pattern, 1, true) and words
      end)
    end

    -- Until events are written with this tag; says what was written before.
    local function write_until(tag, name)
      helper.wait(function()
        write(name)
        return log(name):find(written .. tag .. ",", 1, true)
      end)
    end

    local function assert_complete(name)
      local model = engine:get(name or "diary", "a")
      local n = 0
      for number in model.log:gmatch "(%d+)%a*," do
        n = n + 1
        assert.equal(n, tonumber(number))
      end
      assert.equal(written, n)
      assert.equal(written, model.count)
    end

    it("is taken anew when it is edited in place", function()
      write()
      edit(script { tag = "new" })
      write_until "new"
      assert_complete()
      assert.equal(2, kit.status(engine, "diary").scripts)
    end)

    it("is taken anew with its fields in another order", function()
      write()
      edit(script { tag = "new",
        fields = '{ "log", "text" }, { "count", "integer" }' })
      write_until "new"
      assert_complete()
      edit(script { tag = "newer",
        fields = '{ "id", "text" }, { "log", "text" }, { "count", "integer" }'
      })
      write_until "newer"
      assert_complete()
    end)

    it("is taken anew when another is renamed over it", function()
      write()
      edit(script { tag = "new" }, true)
      write_until "new"
      assert_complete()
    end)

    it("goes on as it was when it is broken, and says so", function()
      write()
      for _, broken in ipairs {
        "return {", "error 'no more'", "return 5",
        'return { name = "diary" }',
      } do
        edit(broken)
        wait_error(path)
        write()
        assert.equal("live", kit.status(engine, "diary").state)
        edit(script())
        helper.wait(function()
          return error_of() == nil
        end)
      end
      assert_complete()
    end)

    it("makes a failed projection go on", function()
      local second = folder .. "/second.lua"
      helper.write_file(second, script { name = "second", fail = 3 })
      helper.wait(function()
        return kit.status(engine, "second")
      end)
      write "second"
      write "second"
      kit.append(engine, { { n = 3, ids = "a" }, { n = 4, ids = "a" } })
      written = 4
      kit.wait_state(engine, "second", "failed")
      helper.write_file(second,
        script { name = "second", fail = 4, tag = "half" })
      helper.wait(function()
        return (error_of "second" or ""):find "refused 4"
      end)
      helper.write_file(second, script { name = "second", tag = "mended" })
      kit.wait_state(engine, "second", "live")
      assert(engine:wait { projection = "second" })
      assert_complete "second"
      assert.equal("1,2,3half,4mended,", log "second")
      assert.is_nil(error_of "second")
    end)

    it("is a new projection when it is a new file", function()
      write()
      helper.write_file(folder .. "/second.lua", script { name = "second" })
      helper.wait(function()
        return kit.status(engine, "second")
      end)
      write "second"
      assert_complete "second"
      helper.write_file(folder .. "/second_spec.lua", "error 'a spec'")
      helper.write_file(folder .. "/notes.txt", "no script")
      write "second"
      write()
      assert_complete()
    end)

    it("is a projection as soon as it is right", function()
      local second = helper.write_file(folder .. "/second.lua", "return {")
      write()
      helper.write_file(second, script { name = "second" })
      helper.wait(function()
        return kit.status(engine, "second")
      end)
      write "second"
      assert_complete "second"
    end)

    it("goes on under another file name", function()
      write()
      assert(os.rename(path, folder .. "/journal.lua"))
      path = folder .. "/journal.lua"
      edit(script { tag = "new" })
      write_until "new"
      assert_complete()
      kit.wait_state(engine, "diary", "live")
    end)

    it("is taken in time though it changes all the time", function()
      write()
      helper.wait(function()
        edit(script { tag = "new" })
        write()
        return log():find "new"
      end)
      assert_complete()
    end)

    it("may be one of many that come at once", function()
      for i = 1, 80 do
        helper.write_file(folder .. "/many_" .. i .. ".lua",
          script { name = "many_" .. i })
      end
      helper.wait(function()
        return #engine:status() == 81
      end)
      write("many_80", 60)
      assert_complete "many_80"
    end)

    it("leaves its models when it is removed, and finds them again",
      function()
        write()
        assert(os.remove(path))
        kit.wait_state(engine, "diary", "detached")
        kit.append(engine, { { n = 2, ids = "a" } })
        written = 2
        assert.equal("1,", log())
        helper.write_file(path, script { tag = "back" })
        kit.wait_state(engine, "diary", "live")
        assert(engine:wait { projection = "diary" })
        assert_complete()
        assert.equal("1,2back,", log())
      end)

    it("may be administered while it is detached", function()
      write()
      assert(os.remove(path))
      kit.wait_state(engine, "diary", "detached")
      assert.is_true(engine:pause("diary", 5))
      assert.is_true(engine:set_checkpoint("diary", "0", 5))
      local ok, message = engine:rebuild("diary", 5)
      assert.is_nil(ok)
      assert.matches("script is not registered", message)
      assert.is_true(engine:delete_checkpoint("diary", 5))
      assert.is_nil((engine:checkpoint "diary"))
    end)

    it("leaves its projection when it is given another name", function()
      write()
      edit(script { name = "journal" })
      helper.wait(function()
        return kit.status(engine, "journal")
      end)
      kit.wait_state(engine, "diary", "detached")
      write "journal"
      assert_complete "journal"
      assert.equal("1,", log())
    end)

    for _, change in ipairs {
      { what = "fields", fields = 'log = "text", count = "number"' },
      { what = "handles", handles = '"Noted"' },
    } do
      local what = change.what

      it("is refused with other " .. what .. " under its version", function()
        write()
        edit(script(kit.merge(change, { tag = "new" })))
        local words = wait_error "version"
        assert.matches(what, words)
        assert.matches("raise the version to 2", words)
        write()
        assert.equal("1,2,", log())
        assert.equal("live", kit.status(engine, "diary").state)

        edit(script { tag = "agreed" })
        write_until "agreed"
        assert.is_nil(error_of())
        assert_complete()
      end)
    end

    it("waits for a rebuild when its version is raised", function()
      write()
      edit(script {
        version = 2,
        tag = "two",
        fields = 'log = "text", count = "integer", more = "text"',
      })
      local words = wait_error "version 2"
      assert.matches("lunette rebuild diary", words)
      write()
      assert.equal("1,2,", log())
      assert.equal(1, kit.status(engine, "diary").version)
      assert.is_true(engine:rebuild "diary")
      assert(engine:wait { projection = "diary" })
      assert.equal("1two,2two,", log())
      assert.equal(2, kit.status(engine, "diary").version)
      assert.is_nil(error_of())
      write()
      assert_complete()
    end)

    it("is refused with a lower version", function()
      edit(script { version = 2 })
      wait_error "version 2"
      assert(engine:rebuild "diary")
      edit(script { version = 1 })
      assert.matches("version 1 is lower than 2", wait_error "lower")
      write()
      assert_complete()
    end)

    it("is not rebuilt with a raised version that was taken back",
      function()
        write()
        edit(script { version = 2, tag = "two" })
        wait_error "version 2"
        edit(script { tag = "back" })
        helper.wait(function()
          return error_of() == nil
        end)
        assert.is_true(engine:rebuild "diary")
        assert(engine:wait { projection = "diary" })
        assert.equal("1back,", log())
        assert.equal(1, kit.status(engine, "diary").version)
      end)

    it("loses and doubles nothing over twenty reloads", function()
      local models = 400
      local function stream()
        local list = {}
        for i = 1, 20 do
          written = written + 1
          list[i] = { n = written, ids = "m" .. written % models }
        end
        kit.append(engine, list)
      end

      for i = 1, 20 do
        edit(script { tag = ("x"):rep(i) }, i % 2 == 0)
        helper.wait(function()
          stream()
          return kit.status(engine, "diary").scripts > i
        end)
      end
      assert(engine:wait { projection = "diary" })
      local found = 0
      for id, model in pairs(kit.models(engine, "diary")) do
        local n = tonumber(id:sub(2))
        n = n == 0 and models or n
        for number in model.log:gmatch "(%d+)%a*," do
          assert.equal(n, tonumber(number))
          n, found = n + models, found + 1
        end
      end
      assert.equal(written, found)
    end)
  end)
end

describe("a script that is registered again #threads", function()
  after_each(kit.close_all)

  it("replaces the old one at the next batch", function()
    local engine = kit.open(kit.stores "memory")
    kit.register(engine, script())
    assert(engine:start())
    kit.append(engine, { { n = 1, ids = "a" } })
    assert(engine:wait { projection = "diary" })
    kit.register(engine, script { tag = "new" })
    helper.wait(function()
      kit.append(engine, { { n = 2, ids = "a" } })
      assert(engine:wait { projection = "diary" })
      return engine:get("diary", "a").log:find "new"
    end)
  end)

  it("is not lost to a stop that comes first", function()
    local engine = kit.open(kit.stores "memory")
    local busy = script():gsub("return {", [[
      local function think() for _ = 1, 300000 do end end
      %0]], 1):gsub("local n = ", "think() %0")
    for n = 1, 100 do
      kit.append(engine, { { n = n, ids = "a" } })
    end
    kit.register(engine, busy)
    assert(engine:start())
    kit.wait_state(engine, "diary", "new")
    kit.register(engine, script { tag = "new" })
    assert(engine:stop())
    assert(engine:run_once())
    kit.append(engine, { { n = 101, ids = "a" } })
    assert(engine:run_once())
    assert.matches(",101new,$", engine:get("diary", "a").log)
  end)

  it("is watched where it is now", function()
    local folder, other = helper.tmpdir(), helper.tmpdir()
    local engine = kit.open(kit.stores "memory")
    assert(engine:watch())
    assert(engine:register(
      helper.write_file(folder .. "/diary.lua", script())))
    assert(engine:start())
    assert(os.remove(folder .. "/diary.lua"))
    local path = helper.write_file(other .. "/diary.lua", script())
    assert(engine:register(path))
    helper.write_file(path, script { tag = "new" })
    helper.wait(function()
      kit.append(engine, { { n = 1, ids = "a" } })
      assert(engine:wait { projection = "diary", timeout = 5 })
      return engine:get("diary", "a").log:find "new"
    end)
  end)

  -- Nothing reads them before the start.
  local function lose_changes(folder)
    local limit = math.tointeger(tonumber(
      helper.read_file "/proc/sys/fs/inotify/max_queued_events"))
    for i = 0, limit do
      assert(io.open(folder .. "/noise" .. i % 2, "w")):close()
    end
  end

  it("is looked at again when changes were lost", function()
    local folder = helper.tmpdir()
    local engine = kit.open(kit.stores "memory")
    helper.write_file(folder .. "/diary.lua", script())
    helper.write_file(folder .. "/gone.lua", script { name = "gone" })
    assert(engine:register_folder(folder))
    assert(engine:watch())
    lose_changes(folder)
    helper.write_file(folder .. "/diary.lua", script { tag = "new" })
    assert(os.remove(folder .. "/gone.lua"))
    helper.write_file(folder .. "/fresh.lua", script { name = "fresh" })
    assert(engine:start())
    kit.wait_state(engine, "fresh", "live")
    kit.wait_state(engine, "gone", "detached")
    helper.wait(function()
      kit.append(engine, { { n = 1, ids = "a" } })
      assert(engine:wait { projection = "diary", timeout = 5 })
      return engine:get("diary", "a").log:find "new"
    end)
  end)

  it("is waited for where another engine runs it once it is removed",
    function()
      local path = helper.tmpdir() .. "/diary.lua"
      helper.write_file(path, script())
      local stores = kit.stores "sqlite"
      local engine = kit.open(stores)
      assert(engine:register(path))
      assert(engine:watch())
      assert(engine:start())
      assert(os.remove(path))
      kit.wait_state(engine, "diary", "detached")
      local other = kit.open(stores)
      kit.register(other, script())
      kit.append(other, { { n = 1, ids = "a" } })
      assert.equal(1, other:step "diary")
      assert(engine:wait { projection = "diary", timeout = 5 })
    end)

  it("ends a run to the head when it is removed meanwhile", function()
    local path = helper.tmpdir() .. "/slow.lua"
    helper.write_file(path, [[return {
      name = "slow",
      version = 1,
      fields = { n = "integer" },
      extract_model_id = function(event)
        for _ = 1, 50000 do end
        return event.stream
      end,
      apply_to_model = function(model) return { n = 1 } end,
    }]])
    local engine = kit.open(kit.stores "memory",
      { batch_events = "1", live_events = "1" })
    local list = {}
    for n = 1, 20000 do
      list[n] = { n = n, ids = "a" }
    end
    kit.append(engine, list)
    assert(engine:register(path))
    assert(engine:watch())
    local began = helper.now_ms()
    local ok, message, code = engine:run_once(function()
      os.remove(path)
      return helper.now_ms() - began < 20000
    end)
    assert.is_nil(ok)
    assert.equal("slow: its script file is gone, so it stays where it is",
      message)
    assert.equal("config", code)
  end)

  it("is refused under the name of another file", function()
    local folder = helper.tmpdir()
    helper.write_file(folder .. "/a.lua", script())
    helper.write_file(folder .. "/b.lua", script())
    local engine = kit.open(kit.stores "memory")
    local ok, message, code = engine:register_folder(folder)
    assert.is_nil(ok)
    assert.equal("config", code)
    assert.matches("b%.lua: the name diary is taken by .*a%.lua", message)
    kit.append(engine, { { n = 1, ids = "a" } })
    assert(engine:run_once())
    assert.equal("1,", engine:get("diary", "a").log)
  end)
end)

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"

describe("bench/run #postgres", function()
  local server, reason = postgres.start()
  if not server then
    pending(reason)
    return
  end

  it("measures every pair of stores, however little there is", function()
    local code, out, err = helper.run({ "lua5.4", "bench/run" }, {
      cwd = helper.root,
      env = {
        LUNETTE_BUILD = helper.build,
        BENCH_DIR = helper.tmpdir(),
        BENCH_EVENTS = "3000",
        BENCH_APPENDS = "20",
        BENCH_TURNS = "1",
      },
    })
    assert.equal(0, code, err)
    for _, kind in ipairs { "SQLite", "PostgreSQL" } do
      assert.matches(kind .. " to " .. kind, out, 1, true)
    end
    local _, lines = out:gsub("\n[^\n]+ accounts, batch %d+ +%d+ +%d+", "")
    assert.equal(4, lines)
    local _, visible = out:gsub("append to visible: %d", "")
    assert.equal(2, visible)
  end)
end)

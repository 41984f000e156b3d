local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

local function line(n, more)
  return ('{"stream":"s","type":"T","data":{"n":%d}%s}\n'):format(n,
    more or "")
end

describe("lunette import", function()
  local place

  before_each(function()
    place = workplace.new()
  end)

  local function stored(what, where)
    if not io.open(place:path "bank.db") then
      return "0"
    end
    return place:sql("bank.db", ("SELECT %s FROM events WHERE %s"):format(
      what or "count(*)", where or "true"))
  end

  it("appends every line of a file", function()
    place:write("a.jsonl", line(1) .. "\n" .. line(2) .. line(3):sub(1, -2))
    local code, out, err = place:run { "import", "a.jsonl" }
    assert.same({ 0, "a.jsonl: 3 events added\n", "" }, { code, out, err })
    assert.equal('{"n":3}', stored("data", "version = 3"))
  end)

  -- What a tool of Windows would write, without a mark of its own.
  local function utf16(text, big)
    return (text:gsub(".", big and "\0%0" or "%0\0"))
  end

  it("takes byte order marks off files, and off each of several in one",
    function()
      local mark = "\u{feff}"
      place:write("a.jsonl", mark .. line(1) .. mark .. line(2) .. mark)
      assert.equal("a.jsonl: 2 events added\n",
        place:done { "import", "a.jsonl" })
      helper.run("cd " .. place.folder .. " && gzip a.jsonl")
      place:done { "import", "a.jsonl.gz" }
      place:done({ "append", "--stream", "s", "--type", "T", "--data", "-" },
        { stdin = mark .. '{"n":3}' })
      assert.equal('{"n":3}', stored("data", "version = 5"))
    end)

  for name, text in pairs {
    ["UTF-16 (b"] = "\xff\xfe" .. utf16(line(1)),
    ["UTF-16 (by"] = "\xfe\xff" .. utf16(line(1), true),
    ["UTF-16 (byt"] = utf16(line(1)),
    ["UTF-16 (byte"] = utf16(line(1), true),
    ["UTF-32 (b"] = "\xff\xfe\0\0" .. utf16(utf16(line(1))),
  } do
    it("names another encoding, " .. name .. ")", function()
      place:write("a.jsonl", text)
      local code, _, err = place:run { "import", "a.jsonl" }
      assert.equal(1, code)
      assert.matches("a.jsonl: line 1: it is " .. name, err, 1, true)
      assert.matches("convert the file to UTF-8", err, 1, true)
      assert.equal("0", stored())
      code, _, err = place:run({ "append", "--stream", "s", "--type", "T",
        "--data", "-" }, { stdin = text })
      assert.equal(1, code)
      assert.matches("standard input: it is " .. name, err, 1, true)
    end)
  end

  it("takes a line of NUL bytes for no blank one", function()
    place:write("a.jsonl", line(1) .. "\r\n \t\n" .. ("\0"):rep(64) .. "\n")
    local code, _, err = place:run { "import", "a.jsonl" }
    assert.equal(1, code)
    assert.matches("a.jsonl: line 4: it has NUL bytes: it is no text\n", err)
    assert.equal("0", stored())
  end)

  it("reads standard input, plain or gzip, in several members", function()
    place:write("a.jsonl", line(1))
    place:write("b.jsonl", line(2))
    local code = helper.run(("cd %s && (gzip -c a.jsonl; gzip -c b.jsonl) | "
      .. "%s import -e sqlite:bank.db -"):format(place.folder, helper.lunette))
    assert.equal(0, code)
    place:done({ "import", "-" }, { stdin = line(3) })
    assert.equal("3", stored())
  end)

  it("passes over where an event stood in another store", function()
    place:write("a.jsonl", '{"position":"7","stream":"s","type":"T",'
      .. '"data":1,"token":"1000000000-' .. ("0"):rep(31) .. '7"}\n')
    place:done { "import", "a.jsonl" }
    assert.equal("1", stored "position")
  end)

  it("takes what lunette events prints", function()
    place:write("a.jsonl", line(1) .. '{"stream":"t","type":"T","data":"x",'
      .. '"metadata":{"by":"me"},"at":"2020-01-01T02:00:00.5+02:00"}\n')
    place:done { "import", "a.jsonl" }
    local events = { "events", "--json", "--tokens" }
    local printed = place:done(events)
    place:done({ "import", "-e", "sqlite:copy.db", "-" }, { stdin = printed })
    assert.equal(place:done { "events", "--json" },
      place:done { "events", "--json", "-e", "sqlite:copy.db" })
  end)

  it("takes all that an event may have", function()
    place:write("a.jsonl", '{"stream":"caf\\u00e9 \\"x\\"","type":"T",'
      .. '"data":null,"metadata":{"by":"me"},"id":"e1","version":1,'
      .. '"at":"2020-01-01T02:00:00.5+02:00"}\n'
      .. '{"stream":"t","type":"T","data":1,"at":1600000000000000}\n')
    place:done { "import", "a.jsonl" }
    assert.equal('e1|café "x"|1|null|{"by":"me"}|1577836800500000',
      stored("id, stream, version, data, metadata, recorded_at",
        "position = 1"))
    assert.equal("1600000000000000", stored("recorded_at", "position = 2"))
  end)

  it("adds lines with ids once", function()
    place:write("a.jsonl", line(1, ',"id":"e1"') .. line(2, ',"id":"e2"'))
    place:done { "import", "a.jsonl" }
    place:write("a.jsonl", line(1, ',"id":"e1"') .. line(3, ',"id":"e3"'))
    assert.equal("a.jsonl: 1 event added, 1 there already\n",
      place:done { "import", "a.jsonl" })
    assert.equal("3", stored())
  end)

  it("takes the events of one tenant, and says that its name is lost",
    function()
      place:write("a.jsonl", line(1, ',"tenant":"acme"')
        .. line(2, ',"tenant":"acme"'))
      local code, said, told = place:run { "import", "a.jsonl" }
      assert.equal(0, code)
      assert.equal("a.jsonl: 2 events added\n", said)
      assert.matches('a.jsonl: the name of the tenant "acme" is not kept',
        told)
    end)

  it("refuses the events of a second tenant", function()
    for _, second in ipairs { ',"tenant":"globex"', "" } do
      place:write("a.jsonl", line(1, ',"tenant":"acme"') .. line(2, second))
      local code, _, message = place:run { "import", "a.jsonl" }
      assert.equal(1, code)
      assert.matches('line 2: it is of the tenant "%a*", and not of "acme" as '
        .. "those before it: tenants are not kept here", message)
    end
    assert.equal("0", stored())
  end)

  local bad = {
    ["it is not JSON"] = { "nonsense", "invalid JSON at byte 1" },
    ["it is no object"] = { "[1]", "it is not a JSON object" },
    ["a member is missing"] = {
      '{"stream":"s","data":1}', '"type" is missing' },
    ["a member is unknown"] = {
      line(1, ',"tpye":1'), 'there is no member "tpye"' },
    ["a member is of another type"] = {
      '{"stream":5,"type":"T","data":1}', '"stream" must be a string' },
    ["its time is none"] = { line(1, ',"at":"noon"'), '"at" must be a time' },
    ["it has two times"] = { line(1, ',"recorded_at":1,"at":2'),
      '"at" and "recorded_at" are one' },
    ["its version is none"] = {
      line(1, ',"version":0'), '"version" must be' },
    ["a member comes twice"] = {
      '{"stream":"s","stream":"t","type":"T","data":1}', "duplicate" },
    ["its version does not fit"] = {
      line(9, ',"version":9'), "stream s is at version 1, expected 8" },
    ["a name is empty"] = {
      '{"stream":"","type":"T","data":1}', "stream is empty" },
  }

  for what, case in pairs(bad) do
    it("lands nothing of a file if of a line " .. what, function()
      place:write("a.jsonl", line(1) .. case[1]:gsub("\n", "") .. "\n")
      local code, out, err = place:run { "import", "a.jsonl" }
      assert.same({ 1, "" }, { code, out })
      assert.matches("^lunette import: a.jsonl: line 2: [^\n]+\n$", err)
      assert.matches(case[2], err, 1, true)
      assert.equal("0", stored())
    end)
  end

  it("leaves bad lines out and goes on if asked to", function()
    place:write("a.jsonl", line(1) .. "nonsense\n" .. line(2)
      .. line(9, ',"version":9') .. line(3))
    local code, out, err = place:run { "import", "--keep-going", "a.jsonl" }
    assert.equal(1, code)
    assert.equal("a.jsonl: 3 events added, 2 bad lines left out\n", out)
    assert.matches("a.jsonl: line 2: ", err, 1, true)
    assert.matches("a.jsonl: line 4: ", err, 1, true)
    assert.matches("2 bad lines were left out", err, 1, true)
    assert.equal("3", stored())
  end)

  it("tells of bad lines in their order", function()
    local conflict = line(9, ',"version":9')
    local order = { conflict, "nonsense\n", conflict, line(1), "nonsense\n",
      conflict, conflict, "nonsense\n", line(2), "nonsense\n" }
    place:write("a.jsonl", table.concat(order))
    local _, _, err = place:run { "import", "--keep-going", "a.jsonl" }
    local told = {}
    for number in err:gmatch "a.jsonl: line (%d+): " do
      told[#told + 1] = number
    end
    assert.equal("1 2 3 5 6 7 8 10", table.concat(told, " "))
    assert.equal("2", stored())
    _, _, err = place:run { "import", "a.jsonl" }
    assert.matches("a.jsonl: line 1: ", err, 1, true)
  end)

  it("tells of any number of bad lines", function()
    place:write("a.jsonl", line(1) .. ("nonsense\n"):rep(2500) .. line(2))
    local code, out, err = place:run { "import", "--keep-going", "a.jsonl" }
    assert.same({ 1, "a.jsonl: 2 events added, 2,500 bad lines left out\n" },
      { code, out })
    assert.equal(2500, select(2, err:gsub("a.jsonl: line %d+: ", "")))
  end)

  it("names the line to blame in a batch of many", function()
    local lines = {}
    for i = 1, 7000 do
      lines[i] = line(i, ',"version":' .. (i == 6123 and 9 or i))
    end
    place:write("a.jsonl", table.concat(lines))
    local code, _, err = place:run { "import", "a.jsonl" }
    assert.equal(1, code)
    assert.matches("a.jsonl: line 6123: stream s is at version 6122", err, 1,
      true)
    assert.equal("0", stored())
  end)

  it("keeps whole files before the one that is bad", function()
    place:write("a.jsonl", line(1))
    place:write("b.jsonl", line(2) .. "nonsense\n")
    local code, out = place:run { "import", "a.jsonl", "b.jsonl" }
    assert.same({ 1, "a.jsonl: 1 event added\n" }, { code, out })
    assert.equal("1", stored())
  end)

  describe("given damaged input", function()
    local packed

    before_each(function()
      local lines = {}
      for i = 1, 20000 do
        lines[i] = line(i * 7919 % 100003)
      end
      place:write("a.jsonl", table.concat(lines))
      assert(helper.run { "gzip", place:path "a.jsonl" } == 0)
      packed = place:read "a.jsonl.gz"
    end)

    it("refuses gzip data that ends too early", function()
      place:write("a.jsonl.gz", packed:sub(1, #packed // 2))
      local code, _, err = place:run { "import", "a.jsonl.gz" }
      assert.equal(1, code)
      assert.matches("a.jsonl.gz: it ends in the middle", err, 1, true)
      assert.equal("0", stored())
    end)

    it("refuses gzip data that ends anywhere but between members", function()
      place:write("b.jsonl", line(1))
      assert(helper.run { "gzip", place:path "b.jsonl" } == 0)
      local first = place:read "b.jsonl.gz"
      for kept = 1, #first - 1 do
        for _, before in ipairs { "", first } do
          place:write("b.jsonl.gz", before .. first:sub(1, kept))
          local code, _, err = place:run { "import", "b.jsonl.gz" }
          assert.equal(1, code, kept)
          assert.matches("b.jsonl.gz: it ends in the middle", err, 1, true)
        end
      end
      assert.equal("0", stored())
      place:write("b.jsonl.gz", first .. first)
      place:done { "import", "b.jsonl.gz" }
      assert.equal("2", stored())
    end)

    it("refuses what follows gzip data and is none", function()
      place:write("a.jsonl.gz", packed .. line(1))
      local code, _, err = place:run { "import", "a.jsonl.gz" }
      assert.equal(1, code)
      assert.matches("unpacking a.jsonl.gz: incorrect header", err, 1, true)
      assert.equal("0", stored())
    end)

    it("refuses gzip data without its checksum", function()
      place:write("a.jsonl.gz", packed:sub(1, -5))
      assert.equal(1, (place:run { "import", "--keep-going", "a.jsonl.gz" }))
      assert.equal("0", stored())
    end)

    it("refuses gzip data with another checksum", function()
      local sum = packed:byte(-8)
      place:write("a.jsonl.gz", packed:sub(1, -9) .. string.char(sum ~ 1)
        .. packed:sub(-7))
      local code, _, err = place:run { "import", "a.jsonl.gz" }
      assert.equal(1, code)
      assert.matches("incorrect data check", err, 1, true)
      assert.equal("0", stored())
    end)
  end)

  it("passes over a line that is too long", function()
    place:write("a.jsonl", '{"stream":"' .. ("x"):rep(34 << 20) .. '"}\n'
      .. line(1))
    local code, out, err = place:run { "import", "--keep-going", "a.jsonl" }
    assert.same({ 1, "a.jsonl: 1 event added, 1 bad line left out\n" },
      { code, out })
    assert.matches("line 1: the line is longer than", err, 1, true)
  end)

  it("does not look at the name to tell what is packed", function()
    place:write("a.gz", line(1))
    assert(helper.run("echo '" .. line(2):sub(1, -2) .. "' | gzip >"
      .. place:path "b.jsonl") == 0)
    place:done { "import", "a.gz", "b.jsonl" }
    assert.equal("2", stored())
  end)

  describe("waiting for more of a pipe", function()
    local text

    before_each(function()
      local lines = {}
      for i = 1, 6000 do
        lines[i] = line(i)
      end
      text = table.concat(lines)
      assert(helper.run { "mkfifo", place:path "pipe" } == 0)
    end)

    local function interrupt(sent)
      local child = place:spawn { "import", "pipe" }
      local pipe <close> = assert(io.open(place:path "pipe", "w"))
      assert(pipe:write(sent))
      pipe:flush()
      child:kill "INT"
      assert.equal(1, (child:wait()))
      assert.matches("SIGINT .*nothing of this file was kept",
        child:stderr())
      assert.equal("0", stored())
    end

    it("rolls back and says so when it is interrupted", function()
      interrupt(text)
    end)

    it("is interrupted before anybody writes", function()
      local child = place:spawn { "import", "pipe" }
      helper.wait(function()
        return helper.run("ls -l /proc/" .. child:pid()
          .. "/fd | grep -q /pipe$") == 0
      end)
      assert.equal("1\n", place:done { "append", "--stream", "s", "--type",
        "T", "--data", "{}" })
      child:kill "INT"
      assert.equal(1, (child:wait()))
      assert.matches("pipe: ended by SIGINT at line 0", child:stderr())
    end)

    it("is interrupted inside of gzip data too", function()
      place:write("a.jsonl", text)
      assert(helper.run { "gzip", place:path "a.jsonl" } == 0)
      interrupt(place:read "a.jsonl.gz":sub(1, -100))
    end)
  end)

  it("says what it cannot read", function()
    local code, _, err = place:run { "import", "absent.jsonl" }
    assert.equal(1, code)
    assert.matches("absent.jsonl: No such file", err, 1, true)
    code, _, err = place:run { "import", "projections" }
    assert.equal(1, code)
    assert.matches("projections: it is a folder", err, 1, true)
    assert.equal(2, (place:run { "import" }))
  end)

  it("counts for programs", function()
    place:write("a.jsonl", line(1))
    assert.equal('{"file":"a.jsonl","added":1,"existed":0,"bad":0}\n',
      place:done { "import", "--json", "a.jsonl" })
  end)
end)

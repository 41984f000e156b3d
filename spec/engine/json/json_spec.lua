local helper = require "spec.helper"
local json = require "json_test"

local null, array = json.null, json.array
local decode, encode = json.decode, json.encode

local function kind(value)
  return math.type(value) or type(value)
end

describe("decoding", function()
  it("gives the Lua value of a scalar", function()
    assert.equal(null, decode "null")
    assert.is_true(decode "true")
    assert.is_false(decode " false ")
    assert.equal("é", decode '"é"')
  end)

  it("keeps 64-bit integers exact", function()
    for text, integer in pairs {
      ["0"] = 0,
      ["-1"] = -1,
      ["9007199254740993"] = 9007199254740993,
      ["9223372036854775807"] = math.maxinteger,
      ["-9223372036854775808"] = math.mininteger,
    } do
      assert.equal("integer", kind(decode(text)))
      assert.equal(integer, decode(text))
    end
  end)

  it("makes floats of fractions and exponents", function()
    for text, float in pairs {
      ["1.0"] = 1.0,
      ["1e2"] = 100.0,
      ["-2.5E-1"] = -0.25,
      ["0.1"] = 0.1,
      ["1e-400"] = 0.0,
    } do
      assert.equal("float", kind(decode(text)))
      assert.equal(float, decode(text))
    end
    assert.equal("-0.0", tostring(decode "-0"))
    assert.equal("-0.0", tostring(decode "-0.0"))
  end)

  it("takes the escapes out of strings of any length", function()
    assert.equal('"\\/\b\f\n\r\t\0é😀',
      decode [["\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"]])
    local long = ("x"):rep(5000)
    assert.equal(long .. "\n" .. long,
      decode('"' .. long .. "\\n" .. long .. '"'))
    assert.equal(1, decode('{"' .. long .. '\\u0021":1}')[long .. "!"])
  end)

  it("tells empty arrays from empty objects", function()
    assert.is_true(json.is_array(decode "[]"))
    assert.is_false(json.is_array(decode "{}"))
    assert.same({}, decode "[]")
    assert.same({}, decode "{}")
  end)

  it("keeps null inside of arrays and objects", function()
    assert.same({ null, 1, null }, decode "[null,1,null]")
    assert.same({ a = null }, decode '{"a":null}')
  end)

  for _, count in ipairs { 1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 1000 } do
    it("keeps " .. count .. " elements and members in place", function()
      local elements, members = {}, {}
      for i = 1, count do
        elements[i] = ('[%d,{"n":%d}]'):format(i, i)
        members[i] = ('"key %d":{"n":[%d]}'):format(i, i)
      end
      local list = decode("[" .. table.concat(elements, ",") .. "]")
      local object = decode("{" .. table.concat(members, ",") .. "}")
      assert.equal(count, #list)
      for i = 1, count do
        assert.same({ i, { n = i } }, list[i])
        assert.same({ n = { i } }, object["key " .. i])
        object["key " .. i] = nil
      end
      assert.is_nil(next(object))
    end)
  end
end)

describe("encoding", function()
  it("writes scalars", function()
    for text, value in pairs {
      ["null"] = null,
      ["true"] = true,
      ["false"] = false,
      ["9223372036854775807"] = math.maxinteger,
      ["-9223372036854775808"] = math.mininteger,
      ["0"] = 0,
      ["3.0"] = 3.0,
      ["-0.0"] = -0.0,
      ['""'] = "",
    } do
      assert.equal(text, encode(value))
    end
  end)

  it("escapes what must be escaped and nothing else", function()
    assert.equal([["\"\\/\b\f\n\r\t\u0000\u001f]] .. '\127é😀"',
      encode '"\\/\b\f\n\r\t\0\31\127é😀')
  end)

  it("sorts keys by bytes", function()
    assert.equal('{"":0,"A":1,"B":2,"a":3,"aa":4,"b":5,"é":6}', encode {
      ["é"] = 6, b = 5, aa = 4, a = 3, B = 2, A = 1, [""] = 0,
    })
    assert.equal('{"a":0,"a\\u0000":1,"a\\u0000b":2,"aa":3}', encode {
      aa = 3, ["a\0b"] = 2, ["a\0"] = 1, a = 0,
    })
  end)

  for _, count in ipairs { 1, 31, 32, 33, 500 } do
    it("sorts " .. count .. " keys", function()
      local object, names, expected = {}, {}, {}
      for i = 1, count do
        names[i] = ("k%x"):format(i * 2654435761 & 0xffffffff)
        object[names[i]] = i
      end
      table.sort(names)
      for i, name in ipairs(names) do
        expected[i] = ('"%s":%d'):format(name, object[name])
      end
      expected = "{" .. table.concat(expected, ",") .. "}"
      assert.equal(expected, encode(object))
      assert.equal("[" .. expected .. "]", encode { object })
    end)
  end

  it("gives equal bytes for equal values", function()
    local one, two = {}, {}
    for i = 1, 40 do
      one["k" .. i], two["k" .. 41 - i] = true, true
    end
    assert.equal(encode(one), encode(two))
  end)

  it("writes a table with the keys 1 to n as an array", function()
    assert.equal('[1,"a",[true]]', encode { 1, "a", { true } })
    assert.equal("[3,2,1]", encode { [3] = 1, [2] = 2, [1] = 3 })
    assert.equal("[1]", encode { [1.0] = 1 })
  end)

  it("lets an array stay one when it is emptied", function()
    local list = { 1 }
    encode { list = list }
    list[1] = nil
    assert.equal("[]", encode(list))
    assert.equal("[]", encode(decode "[]"))
    assert.equal("[]", encode(array {}))
    assert.equal("{}", encode {})
    assert.equal("{}", encode(decode "{}"))
  end)

  it("leaves the metatables of scripts alone", function()
    local class = {
      __index = function()
        error "must not be called"
      end,
      __pairs = error,
      __len = error,
    }
    local list, object = setmetatable({ 1 }, class), setmetatable({}, class)
    object.a = 1
    assert.equal('{"list":[1],"object":{"a":1}}',
      encode { list = list, object = object })
    assert.equal(class, getmetatable(list))
    assert.equal(class, getmetatable(object))
  end)

  it("writes the value that a userdata stands for", function()
    assert.equal('{"a":[{"z":1}],"b":2}',
      encode { a = { json.stand_in { z = 1 } }, b = 2 })
    local deep = decode(("["):rep(99) .. ("]"):rep(99))
    assert.equal(("["):rep(100) .. ("]"):rep(100),
      encode { json.stand_in(deep) })
    assert.matches("nested too deep",
      select(2, pcall(encode, { { json.stand_in(deep) } })))
  end)

  it("writes nested values as deep as they are read", function()
    local text = ("["):rep(100) .. ("]"):rep(100)
    assert.equal(text, encode(decode(text)))
    text = ('{"a":'):rep(100) .. "1" .. ("}"):rep(100)
    assert.equal(text, encode(decode(text)))
  end)
end)

describe("floats", function()
  local shortest = {
    ["0.1"] = 0.1,
    ["0.3"] = 0.3,
    ["0.30000000000000004"] = 0.1 + 0.2,
    ["0.3333333333333333"] = 1 / 3,
    ["12.34"] = 12.34,
    ["-12.0005"] = -12.0005,
    ["1e-05"] = 0.00001,
    ["0.0001"] = 0.0001,
    ["100.0"] = 1e2,
    ["1e+15"] = 1e15,
    ["999999999999999.0"] = 999999999999999.0,
    ["99999999999.9999"] = 99999999999.9999,
    ["9007199254740992.0"] = 2.0^53,
    ["1e+22"] = 1e22,
    ["5e-324"] = 5e-324,
    ["2.2250738585072014e-308"] = 2.2250738585072014e-308,
    ["1.7976931348623157e+308"] = 1.7976931348623157e308,
  }
  for text, value in pairs(shortest) do
    it("are written in few digits: " .. text, function()
      assert.equal(text, encode(value))
      assert.equal(value, decode(text))
    end)
  end

  local seed = helper.seed(1)
  it("come back equal and as floats, whatever their bits, seed " .. seed,
    function()
      local r = helper.random(seed)
      local half = (1 << 31) - 1
      for _ = 1, 20000 do
        local bits = r:within(0, half) << 33 | r:within(0, half) << 2
          | r:within(0, 3)
        local value = string.unpack("n", string.pack("i8", bits))
        if value - value == 0 then
          local back = decode(encode(value))
          assert(back == value and kind(back) == "float", encode(value))
        end
      end
    end)

  it("come back equal when they have few decimals", function()
    for i = -30000, 30000, 7 do
      for _, scale in ipairs { 1, 10, 100, 1000, 10000, 100000 } do
        local value = i / scale
        local text = encode(value)
        assert(decode(text) == value, text)
        assert(#text <= #("%.14g"):format(value) + 3, text)
      end
    end
  end)

  -- A locale of glibc made of one file: a decimal comma, no grouping.
  it("do not mind a locale with a decimal comma", function()
    local folder = helper.tmpdir() .. "/"
    helper.mkdir(folder .. "comma")
    helper.write_file(folder .. "comma/LC_NUMERIC",
      string.pack("<I4I4I4I4I4I4I4I4", 0x20031114, 6, 32, 34, 36, 40, 44, 48)
        .. ",\0.\0\0\0\0\0" .. string.pack("<I4I4", 44, 46) .. "UTF-8\0")
    local code, out, err = helper.run({
      "/usr/bin/lua5.4", "-e", [[
        package.cpath = arg[1] .. "/spec/?.so"
        local json = require "json_test"
        if not os.setlocale("comma", "numeric") then
          error "no such locale"
        end
        assert(("%.1f"):format(1.5) == "1,5", "no comma")
        print(json.encode { 0.1 + 0.2, 1.5, 1e300 })
        print(json.encode(json.decode "[0.30000000000000004,1.7e308]"))
      ]], "-", helper.build,
    }, { env = { LOCPATH = folder } })
    assert.equal("", err)
    assert.equal("[0.30000000000000004,1.5,1e+300]\n"
      .. "[0.30000000000000004,1.7e+308]\n", out)
    assert.equal(0, code)
  end)
end)

describe("what cannot be stored", function()
  local function refused(value)
    local ok, message = pcall(encode, value)
    assert.is_false(ok)
    return message
  end

  local cyclic = { name = "a" }
  cyclic.self = { cyclic }
  local text = "a table with both text keys and numbers cannot be stored"
  local holes = "an array must have the keys 1 to n without holes"
  local cases = {
    ["a function"] = { print, "a function cannot be stored" },
    ["a thread"] = {
      { a = coroutine.create(print) }, "a: a thread cannot be stored",
    },
    ["nan"] = { { a = { 0 / 0 } }, "a[1]: nan cannot be stored" },
    ["inf"] = { { 1, 1 / 0 }, "[2]: an infinite number cannot be stored" },
    ["-inf"] = { -1 / 0, "an infinite number cannot be stored" },
    ["a file"] = { { io.stdout }, "[1]: a userdata cannot be stored" },
    ["no text"] = { "\xff", "a string that is not UTF-8 cannot be stored" },
    ["a key that is no text"] = {
      { a = { ["\xff"] = 1 } }, "a: a key that is not UTF-8 cannot be stored",
    },
    ["a boolean as a key"] = {
      { a = { [true] = 1 } },
      "a: a table with a boolean as a key cannot be stored",
    },
    ["a table as a key"] = {
      { [{}] = 1 }, "a table with a table as a key cannot be stored",
    },
    ["mixed keys"] = { { a = { 1, 2, x = 3 } }, "a: " .. text },
    ["an array with a text key"] = { array { x = 3 }, text },
    ["a hole"] = { { 1, nil, 3 }, holes },
    ["a late start"] = { { [2] = 1 }, holes },
    ["an index 0"] = { { [0] = 1, 2 }, holes },
    ["a fraction as a key"] = { { 1, [1.5] = 2 }, holes },
    ["a boolean beside numbers"] = { { 1, [true] = 2 }, holes },
    ["a cycle"] = {
      cyclic,
      ("self[1]."):rep(50):sub(1, -2)
        .. ": nested too deep (does it contain itself?)",
    },
  }
  for name, case in pairs(cases) do
    it("is refused with its path: " .. name, function()
      assert.equal(case[2], refused(case[1]))
    end)
  end

  it("is refused in large objects too", function()
    for _, bad in ipairs { "value", "key" } do
      local object = {}
      for i = 1, 100 do
        object["k" .. i] = i
      end
      if bad == "value" then
        object.k50 = print
        assert.equal("k50: a function cannot be stored", refused(object))
      else
        object[7] = 1
        assert.equal(text, refused(object))
      end
    end
  end)

  it("is named by a path that scripts can read", function()
    assert.equal("items[2].price: a function cannot be stored",
      refused { items = { 1, { price = print } } })
    assert.equal('a["b c"][""]["1st"]._x1: a function cannot be stored',
      refused { a = { ["b c"] = { [""] = { ["1st"] = { _x1 = print } } } } })
    assert.equal('["a?b"]: a function cannot be stored',
      refused { ["a\nb"] = print })
    assert.equal('["' .. ("k"):rep(60) .. '..."]: a function cannot be stored',
      refused { [("k"):rep(1000)] = print })
  end)

  it("is a value nested deeper than it could be read", function()
    local value = 1
    for _ = 1, 100 do
      value = { value }
    end
    encode(value)
    assert.equal(("[1]"):rep(100)
      .. ": nested too deep (does it contain itself?)", refused { value })
  end)

  it("is a value that shared tables make enormous", function()
    local value = "x"
    for _ = 1, 99 do
      value = { value, value }
    end
    assert.matches("the value is too large to be stored$", refused(value))
  end)
end)

describe("a round trip", function()
  it("gives the same value", function()
    local text = '{"a":[],"b":{},"c":[{"d":null},[1,2.5,"x"],true],'
      .. '"e":{"f":false,"g":-9223372036854775808}}'
    assert.equal(text, encode(decode(text)))
  end)

  it("fails cleanly whenever memory runs out", function()
    local members = {}
    for i = 1, 80 do
      members[i] = ('"%s %d\\n":[%d,{"a":"%s"}]'):format(
        ("k"):rep(50), i, i, ("v\\t"):rep(i * 40))
    end
    local text = "{" .. table.concat(members, ",") .. "}"
    local expected = encode(decode(text))
    local allocations = 0
    while not json.starve(text, allocations) do
      allocations = allocations + 1
    end
    assert.is_true(allocations > 100)
    assert.equal(expected, json.starve(text, allocations))
  end)
end)

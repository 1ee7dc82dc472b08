-- How a job is called in its queue: by its place, so that equals in priority are in the order of their places.
local function ticket(place, id)
    return struct.pack('>I8', place) .. id
end

-- (Lua compares texts by the server's locale.)
local function place_on(ticket_)
    return struct.unpack('>I8', ticket_)
end

local function id_on(ticket_)
    return string.sub(ticket_, 9)
end

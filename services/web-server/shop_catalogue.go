package main

import (
	"math"
	"strconv"

	"shopstream/services/internal/event"
)

// product is one product of the shop. Its id names its drawing in the page, its tint
// the colours in the style sheet.
type product struct{ ID, Name, Price, Tint string }

// shopper is a suggested user.
type shopper struct{ ID, Name string }

// catalogue returns what the shop sells, at prices in major units, written
// with as many digits as the currency has.
func catalogue(currency string) []product {
	digits := event.MinorDigits(currency)
	price := func(amount float64) string {
		scale := math.Pow10(digits)
		return strconv.FormatFloat(math.Round(amount*scale)/scale, 'f', digits, 64)
	}
	return []product{
		{"teapot", "Stoneware teapot", price(48), "clay"},
		{"notebook", "Dotted notebook", price(14.5), "sky"},
		{"lamp", "Reading lamp", price(79), "straw"},
		{"can", "Watering can", price(27.9), "sage"},
		{"headphones", "Headphones", price(129), "sky"},
		{"socks", "Wool socks", price(12), "clay"},
		{"pen", "Fountain pen", price(32), "sage"},
		{"board", "Bread board", price(22), "straw"},
		{"camera", "Film camera", price(349), "clay"},
		{"umbrella", "Umbrella", price(38.5), "sky"},
		{"clock", "Alarm clock", price(41), "sage"},
		{"laptop", "Laptop", price(1299), "straw"},
	}
}

// suggestedShoppers returns the users that the page suggests.
func suggestedShoppers() []shopper {
	return []shopper{{"ada-1001", "Ada"}, {"ben-1002", "Ben"}, {"chika-1003", "Chika"}}
}
